// Looks up names by Go's own resolver: go_resolver NAME... prints how many addresses and the error of each;
// go_resolver serve PORT looks up one for each request, GET /?host=NAME.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
)

var resolver = net.Resolver{PreferGo: true}

func serve(response http.ResponseWriter, request *http.Request) {
	found, err := resolver.LookupHost(request.Context(), request.URL.Query().Get("host")+".")
	fmt.Fprintln(response, len(found), err)
}

func main() {
	if os.Args[1] == "serve" {
		fmt.Println(http.ListenAndServe("127.0.0.1:"+os.Args[2], http.HandlerFunc(serve)))
		return
	}
	for _, name := range os.Args[1:] {
		found, err := resolver.LookupHost(context.Background(), name+".")
		fmt.Println(len(found), err)
	}
}
