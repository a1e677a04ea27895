// Command blind uploads a directory the plain way: so many workers, each of which sends the next file and
// tries again until it is stored. It is what s3-upload must never be slower than.
//
// A refused or failed request waits as the AWS SDKs do in their mode "standard": anything up to a second,
// doubled with every try, at most 20 s (https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html).
// Unlike them it never gives up, and it has no budget for retries. It signs nothing.
//
//	blind WORKERS URL BUCKET DIRECTORY
package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math/rand"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const (
	baseWait = time.Second
	maxWait  = 20 * time.Second
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: blind WORKERS URL BUCKET DIRECTORY")
		os.Exit(2)
	}
	workers, err := strconv.Atoi(os.Args[1])
	if err == nil && workers < 1 {
		err = fmt.Errorf("WORKERS must be at least 1")
	}
	if err == nil {
		err = upload(workers, os.Args[2]+"/"+os.Args[3]+"/", os.Args[4])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "blind:", err)
		os.Exit(1)
	}
}

// upload sends every file below `directory`; it ends when all are stored or one cannot be read.
func upload(workers int, prefix, directory string) error {
	paths := make(chan string, workers)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers, DisableCompression: true}}
	var running sync.WaitGroup
	for range make([]struct{}, workers) {
		running.Add(1)
		go func() {
			defer running.Done()
			for path := range paths {
				if err := put(client, prefix, directory, path); err != nil {
					fmt.Fprintln(os.Stderr, "blind:", err)
					os.Exit(1)
				}
			}
		}()
	}
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			paths <- path
		}
		return err
	})
	close(paths)
	running.Wait()
	return err
}

func put(client *http.Client, prefix, directory, path string) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	key, err := filepath.Rel(directory, path)
	if err != nil {
		return err
	}
	target := prefix + (&url.URL{Path: filepath.ToSlash(key)}).EscapedPath()
	for try := 0; !stored(client, target, body); try++ {
		wait := maxWait
		if try < 5 && baseWait<<try < maxWait {
			wait = baseWait << try
		}
		time.Sleep(time.Duration(rand.Float64() * float64(wait)))
	}
	return nil
}

func stored(client *http.Client, target string, body []byte) bool {
	request, err := http.NewRequest(http.MethodPut, target, bytes.NewReader(body))
	if err != nil {
		return false
	}
	answer, err := client.Do(request)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err == nil && answer.StatusCode == http.StatusOK
}
