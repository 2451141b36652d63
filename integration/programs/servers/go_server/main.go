// Command go_server answers the common paths with net/http: PORT, and for TLS CERTIFICATE and KEY.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

var big = bytes.Repeat([]byte("x"), 1<<20)

func answer(response http.ResponseWriter, request *http.Request) {
	path := request.URL.Path
	status, body := 200, []byte(fmt.Sprintf(`{"path": %q}`, path))
	switch {
	case path == "/chunked":
		for _, part := range []string{"one", "two", "three"} {
			io.WriteString(response, part)
			response.(http.Flusher).Flush()
		}
		return
	case path == "/big":
		body = big
	case path == "/slow":
		time.Sleep(50 * time.Millisecond)
	case path == "/echo":
		length, _ := io.Copy(io.Discard, request.Body)
		body = []byte(strconv.FormatInt(length, 10))
	case strings.HasPrefix(path, "/status/"):
		status, _ = strconv.Atoi(path[len("/status/"):])
	}
	response.Header().Set("Content-Length", strconv.Itoa(len(body)))
	response.WriteHeader(status)
	response.Write(body)
}

func main() {
	address, handler := "127.0.0.1:"+os.Args[1], http.HandlerFunc(answer)
	var err error
	if len(os.Args) > 2 {
		err = http.ListenAndServeTLS(address, os.Args[2], os.Args[3], handler)
	} else {
		err = http.ListenAndServe(address, handler)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
