// Command go_client makes requests with net/http: URL MARK COUNT METHOD.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func request(method, url string) (int, error) {
	var body io.Reader
	if method == "POST" {
		body = strings.NewReader(strings.Repeat("y", 2000))
	}
	made, err := http.NewRequest(method, url, body)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(made)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

func main() {
	url, mark, method := os.Args[1], os.Args[2], os.Args[4]
	count, _ := strconv.Atoi(os.Args[3])
	for i := 0; i < count; i++ {
		name := fmt.Sprintf("%s-%d", mark, i)
		start := time.Now()
		status, err := request(method, url+"?n="+name)
		took := time.Since(start)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Printf("{\"n\": %q, \"start_ns\": %d, \"duration_ns\": %d, \"status\": %d}\n",
			name, start.UnixNano(), took.Nanoseconds(), status)
	}
}
