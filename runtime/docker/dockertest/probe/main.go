// Command probe is the service of the tests: it tells what it sees of the
// world around it, over HTTP on the port in PORT (8080).
//
//	GET /fetch?url=U     what U answers, or the error
//	GET /connect?to=A    the names of both ends of a connection to A, or the error
//	GET /whoami          the address that the client comes from
//	GET /lookup?host=H   the addresses of H
//	GET /keep?url=U      fetch on one connection that is kept, and how many were made
//	GET /exit?code=N     ends it
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	if len(os.Args) > 2 && os.Args[1] == "get" { // as a command: the answer to a request
		fmt.Println(answer(fetch(os.Args[2])))
		return
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	go func() {
		<-end
		log.Print("asked to end")
		os.Exit(0)
	}()
	time.Sleep(wait())
	handle("/fetch", func(r *http.Request) (string, error) { return fetch(r.FormValue("url")) })
	handle("/keep", func(r *http.Request) (string, error) { return keep(r.FormValue("url")) })
	handle("/connect", func(r *http.Request) (string, error) { return connect(r.FormValue("to")) })
	handle("/whoami", func(r *http.Request) (string, error) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		return host, err
	})
	handle("/lookup", func(r *http.Request) (string, error) {
		all, err := net.LookupHost(r.FormValue("host"))
		return strings.Join(all, " "), err
	})
	handle("/exit", func(r *http.Request) (string, error) {
		code, _ := strconv.Atoi(r.FormValue("code"))
		log.Printf("ending with %d", code)
		os.Exit(code)
		return "", nil
	})
	handle("/", func(*http.Request) (string, error) { return os.Getenv("GREETING"), nil })
	log.Printf("listening on :%s", port)
	log.Fatal(http.ListenAndServe(":"+port, nil))
}

// wait is how long it takes to listen: LISTEN_AFTER.
func wait() time.Duration {
	d, _ := time.ParseDuration(os.Getenv("LISTEN_AFTER"))
	return d
}

func handle(path string, f func(*http.Request) (string, error)) {
	http.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		text, err := f(r)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
		}
		fmt.Fprint(w, answer(text, err))
	})
}

func answer(text string, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	return text
}

// fetch makes a connection of its own.
func fetch(url string) (string, error) {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	return get(&c, url, nil)
}

var made atomic.Int64

func keep(url string) (string, error) {
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if !info.Reused {
			made.Add(1)
		}
	}}
	text, err := get(http.DefaultClient, url, trace)
	return fmt.Sprintf("%s (%d connections)", text, made.Load()), err
}

func get(c *http.Client, url string, trace *httptrace.ClientTrace) (string, error) {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	if trace != nil {
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
	}
	resp, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return fmt.Sprintf("%d %s", resp.StatusCode, text), err
}

func connect(to string) (string, error) {
	c, err := net.DialTimeout("tcp", to, 10*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	local, _, err := net.SplitHostPort(c.LocalAddr().String())
	return local + " " + c.RemoteAddr().String(), err
}
