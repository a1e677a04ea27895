// Command store answers S3 requests and keeps nothing of the bodies: what an uploader is measured against.
//
// It listens on the loopback only, prints its URL as the first line on stdout and ends when stdin closes.
// It keeps the key, size and ETag of every object, so that a benchmark can check that all arrived.
// It verifies neither signatures nor checksums. It can be slow (--delay), refuse above a rate (--limit,
// --rate) and fail at random (--fail-503, --fail-500).
//
// Beside S3 it answers, at once and uncounted:
//
//	GET /_stats         counts as JSON
//	GET /_keys          one line for each object: key, size, ETag, size of its first part; tabs between
//	GET /_limit?rate=N  from now on N requests a second; 0: no limit
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"time"
)

func main() {
	var options options
	var rate, tlsCA string
	flag.DurationVar(&options.delay, "delay", 0, "time from a request to its answer, such as 40ms")
	flag.DurationVar(&options.refusalDelay, "refusal-delay", -1, "the same for refusals (default: --delay)")
	flag.StringVar(&options.limit, "limit", "token", "what keeps --rate: fixed, token or sliding")
	flag.StringVar(&rate, "rate", "0", "requests a second, 0: any; or steps: 800@0,200@10 (seconds from the first request)")
	flag.Float64Var(&options.fail503, "fail-503", 0, "share of requests answered with 503, at random")
	flag.Float64Var(&options.fail500, "fail-500", 0, "share of requests answered with 500, at random")
	flag.Int64Var(&options.seed, "seed", 1, "of that randomness")
	flag.BoolVar(&options.md5, "md5", false, "ETags are MD5s, as in S3; otherwise they are made up")
	flag.StringVar(&tlsCA, "tls", "", "speak TLS, and write the certificate authority to this file")
	flag.Parse()
	debug.SetGCPercent(400) // the memory is there; the processor is the client's

	steps, err := parseSteps(rate)
	exitOn(err)
	options.steps = steps
	store, err := newStore(options)
	exitOn(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	exitOn(err)
	scheme := "http"
	if tlsCA != "" {
		config, err := tlsConfig(tlsCA)
		exitOn(err)
		listener, scheme = tls.NewListener(listener, config), "https"
	}
	fmt.Printf("%s://%s\n", scheme, listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for {
		connection, err := listener.Accept()
		if err != nil { // out of descriptors, most likely
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go store.serve(connection)
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "store:", err)
		os.Exit(2)
	}
}
