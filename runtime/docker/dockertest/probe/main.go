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
	handle("/trusting", func(r *http.Request) (string, error) { return trusting(r.FormValue("url")) })
	handle("/keep", func(r *http.Request) (string, error) { return keep(r.FormValue("url")) })
	handle("/connect", func(r *http.Request) (string, error) { return connect(r.FormValue("to")) })
	handle("/send", func(r *http.Request) (string, error) { return send(r.FormValue("to")) })
	handle("/write", func(r *http.Request) (string, error) { return "", write(r.FormValue("text")) })
	handle("/read", func(*http.Request) (string, error) {
		text, err := os.ReadFile(file)
		return string(text), err
	})
	go echo(":" + port)
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
	if tlsPort := os.Getenv("TLS_PORT"); tlsPort != "" {
		go serveTLS(":" + tlsPort)
	}
	address := os.Getenv("LISTEN")
	if address == "" {
		address = ":" + port
	}
	log.Printf("listening on %s", address)
	log.Fatal(http.ListenAndServe(address, nil))
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

const file = "/written"

func write(text string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	return f.Sync()
}

// echo sends datagrams back.
func echo(addr string) {
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		log.Fatal(err)
	}
	buf := make([]byte, 1500)
	for {
		if n, from, err := conn.ReadFrom(buf); err == nil {
			conn.WriteTo(buf[:n], from)
		}
	}
}

func send(to string) (string, error) {
	conn, err := net.Dial("udp", to)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("echo")); err != nil {
		return "", err
	}
	conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	buf := make([]byte, 1500)
	n, err := conn.Read(buf)
	return string(buf[:n]), err
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
