// A hop on Go's net/http: [late | CERTIFICATE KEY] PORT. See hops.py; a hop that ends in `s` is asked over TLS. Several ports of one hop are asked at once, each by a goroutine
// of its own. `late`: it answers at once, and a goroutine asks the others behind that.
//
// HOP_ADDRESS is where it listens, HOP_HOST whom it asks: by default, both are this host.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

var (
	kept  = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	fresh = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
)

func setting(name string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return "127.0.0.1"
}

func ask(hop, rest string) error {
	client := kept
	if strings.HasSuffix(hop, "c") {
		client = fresh
	}
	scheme := "http"
	if strings.HasSuffix(hop, "s") {
		scheme = "https"
	}
	answer, err := client.Get(scheme + "://" + setting("HOP_HOST") + ":" + strings.TrimRight(hop, "cs") + rest)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

func walk(target string) error {
	path, query, _ := strings.Cut(target, "?")
	words := strings.Split(path, "/")[1:]
	if words[0] != "walk" || len(words) < 3 {
		return nil
	}
	rest := "/" + strings.Join(append([]string{"walk", words[1]}, words[3:]...), "/") + "?" + query
	hops := strings.Split(words[2], "+")
	if len(hops) == 1 {
		return ask(hops[0], rest)
	}
	errors := make([]error, len(hops))
	var group sync.WaitGroup
	for number, hop := range hops {
		group.Add(1)
		go func(number int, hop string) {
			defer group.Done()
			errors[number] = ask(hop, rest)
		}(number, hop)
	}
	group.Wait()
	for _, err := range errors {
		if err != nil {
			return err
		}
	}
	return nil
}

func main() {
	late := os.Args[1] == "late"
	http.HandleFunc("/", func(response http.ResponseWriter, request *http.Request) {
		if late {
			go func() {
				time.Sleep(20 * time.Millisecond)
				walk(request.RequestURI)
			}()
			fmt.Fprint(response, "end\n")
			return
		}
		if err := walk(request.RequestURI); err != nil {
			http.Error(response, err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprint(response, "end\n")
	})
	address := setting("HOP_ADDRESS") + ":" + os.Args[len(os.Args)-1]
	if len(os.Args) > 3 {
		log.Fatal(http.ListenAndServeTLS(address, os.Args[1], os.Args[2], nil))
	}
	log.Fatal(http.ListenAndServe(address, nil))
}
