package main

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// net/http would do, at three times the processor time for a small PUT: the client under test has that.

const (
	maxHeadBytes = 64 << 10
	maxXMLBytes  = 4 << 20
)

type options struct {
	delay, refusalDelay time.Duration
	limit               string
	steps               []step
	fail503, fail500    float64
	seed                int64
	md5                 bool
}

// A store is what all connections share; `mutex` guards all below it.
type store struct {
	options options

	received   atomic.Int64 // of bodies, as they come
	mutex      sync.Mutex
	limiter    limiter
	random     *rand.Rand
	counts     counts
	objects    map[string]object
	uploads    map[string]*upload
	lastUpload int
}

func newStore(options options) (*store, error) {
	if options.refusalDelay < 0 {
		options.refusalDelay = options.delay
	}
	limiter, err := newLimiter(options.limit)
	return &store{
		options: options,
		limiter: limiter,
		random:  rand.New(rand.NewSource(options.seed)),
		counts:  counts{Requests: map[string]int64{}, PerSecond: [][2]int64{}},
		objects: map[string]object{},
		uploads: map[string]*upload{},
	}, err
}

// A request: its head, and `length`, the bytes of its body.
type request struct {
	method, bucket, key string
	path                string
	query               url.Values
	length              int64
	checksum            string // a header line, to be given back
	waits, closes       bool   // Expect: 100-continue, Connection: close
}

func (r *request) part() int {
	number, _ := strconv.Atoi(r.query.Get("partNumber"))
	return number
}

// A peer is one connection.
type peer struct {
	net.Conn
	reader *bufio.Reader
	out    []byte
	admin  bool
}

func (s *store) serve(connection net.Conn) {
	p := &peer{Conn: connection, reader: bufio.NewReaderSize(connection, 16<<10)}
	s.count(func(c *counts) {
		c.Connections++
		c.Open++
		c.MaxOpen = max64(c.MaxOpen, c.Open)
	})
	defer func() {
		_ = connection.Close()
		if !p.admin {
			s.count(func(c *counts) { c.Open-- })
		}
	}()
	for {
		r, err := readHead(p.reader)
		if errors.Is(err, errMalformed) {
			_ = p.answer(r, refusal(400, "BadRequest", "This is no HTTP request with a Content-Length."))
		}
		if err != nil {
			return
		}
		if strings.HasPrefix(r.path, "/_") {
			err = s.administer(p, r)
		} else {
			err = s.respond(p, r)
		}
		if err != nil || r.closes {
			return
		}
	}
}

func max64(a, b int64) int64 {
	if a > b {
		return a
	}
	return b
}

func (s *store) count(change func(*counts)) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	change(&s.counts)
}

// respond reads the body of a request for S3 and answers it.
func (s *store) respond(p *peer, r *request) error {
	verdict := s.judge()
	defer s.count(func(c *counts) { c.InFlight-- })
	if r.waits {
		if _, err := p.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
			return err
		}
	}
	operation := r.operation()
	etag, body, err := s.readBody(p.reader, r, operation)
	if err != nil {
		return err
	}
	delay := s.options.delay
	if verdict != nil {
		delay = s.options.refusalDelay
	}
	if delay > 0 {
		time.Sleep(delay)
	}
	switch {
	case verdict != nil:
		return p.answer(r, *verdict)
	case operation == "":
		return p.answer(r, refusal(501, "NotImplemented", "This store only takes uploads."))
	}
	return p.answer(r, s.carryOut(r, operation, etag, body))
}

var (
	slowDown      = refusal(503, "SlowDown", "Please reduce your request rate.")
	internalError = refusal(500, "InternalError", "We encountered an internal error. Please try again.")
)

// judge says how a request is refused, or nil, and counts it.
func (s *store) judge() *reply {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	c := &s.counts
	c.InFlight++
	c.MaxInFlight = max64(c.MaxInFlight, c.InFlight)
	now := c.now()
	if rate := rateAt(s.options.steps, now); rate > 0 && !s.limiter.allow(now, rate) {
		c.note(now, false)
		return &slowDown
	}
	if chance := s.random.Float64(); chance < s.options.fail503 {
		c.Failed503++
		return &slowDown
	} else if chance < s.options.fail503+s.options.fail500 {
		c.Failed500++
		return &internalError
	}
	c.note(now, true)
	return nil
}

// readBody gives the body's ETag, and its text where that is needed.
func (s *store) readBody(reader *bufio.Reader, r *request, operation string) (string, []byte, error) {
	if operation == "CompleteMultipartUpload" {
		if r.length > maxXMLBytes {
			return "", nil, errMalformed
		}
		body := make([]byte, r.length)
		_, err := io.ReadFull(reader, body)
		return "", body, err
	}
	if !s.options.md5 {
		err := s.discardCounted(reader, r.length)
		return fmt.Sprintf("%032x", r.length), nil, err
	}
	var digest hash.Hash = md5.New()
	_, err := io.CopyN(digest, reader, r.length)
	return fmt.Sprintf("%x", digest.Sum(nil)), nil, err
}

func discard(reader *bufio.Reader, count int64) error {
	_, err := reader.Discard(int(count))
	return err
}

// discardCounted tells while it goes on how much has come, for whoever watches from outside.
func (s *store) discardCounted(reader *bufio.Reader, count int64) error {
	for count > 0 {
		piece := min(count, 64<<10)
		if err := discard(reader, piece); err != nil {
			return err
		}
		s.received.Add(piece)
		count -= piece
	}
	return nil
}

func (s *store) administer(p *peer, r *request) error {
	if !p.admin {
		p.admin = true
		s.count(func(c *counts) { c.Open-- })
	}
	if err := discard(p.reader, r.length); err != nil {
		return err
	}
	switch r.path {
	case "/_stats":
		return p.answer(r, plain(200, "Content-Type: application/json\r\n", string(s.stats())))
	case "/_keys":
		return p.answer(r, plain(200, "Content-Type: text/plain\r\n", s.keys()))
	case "/_limit":
		rate, err := strconv.ParseFloat(r.query.Get("rate"), 64)
		if err != nil || !(rate >= 0) {
			return p.answer(r, refusal(400, "InvalidArgument", "rate must be a number of requests a second"))
		}
		s.mutex.Lock()
		s.options.steps = []step{{0, rate}}
		s.mutex.Unlock()
		return p.answer(r, plain(200, "", ""))
	}
	return p.answer(r, refusal(404, "NoSuchKey", "There are /_stats, /_keys and /_limit."))
}

func (p *peer) answer(r *request, reply reply) error {
	length := int64(len(reply.body))
	if reply.length >= 0 {
		length = reply.length
	}
	out := append(p.out[:0], "HTTP/1.1 "...)
	out = strconv.AppendInt(out, int64(reply.status), 10)
	out = append(append(append(out, ' '), http.StatusText(reply.status)...), "\r\nDate: "...)
	out = time.Now().UTC().AppendFormat(out, http.TimeFormat)
	out = append(out, "\r\nServer: bench\r\nx-amz-request-id: bench\r\n"...)
	out = append(out, reply.headers...)
	if reply.status != http.StatusNoContent {
		out = strconv.AppendInt(append(out, "Content-Length: "...), length, 10)
		out = append(out, "\r\n"...)
	}
	if r != nil && r.closes {
		out = append(out, "Connection: close\r\n"...)
	}
	out = append(out, "\r\n"...)
	if r == nil || r.method != "HEAD" {
		out = append(out, reply.body...)
	}
	p.out = out
	_, err := p.Write(out)
	return err
}

var errMalformed = errors.New("malformed request")

// readHead reads a request up to its body.
func readHead(reader *bufio.Reader) (*request, error) {
	line, err := readLine(reader)
	if err != nil {
		return nil, err
	}
	method, rest, _ := strings.Cut(line, " ")
	target, protocol, ok := strings.Cut(rest, " ")
	if !ok || !strings.HasPrefix(protocol, "HTTP/1.") || !strings.HasPrefix(target, "/") {
		return nil, errMalformed
	}
	r := &request{method: method, closes: protocol == "HTTP/1.0"}
	if err := r.locate(target); err != nil {
		return nil, errMalformed
	}
	for total := 0; ; {
		raw, err := reader.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		raw = bytes.TrimRight(raw, "\r\n")
		if len(raw) == 0 {
			return r, nil
		}
		if total += len(raw); total > maxHeadBytes {
			return nil, errMalformed
		}
		if err := r.header(raw); err != nil {
			return nil, err
		}
	}
}

func readLine(reader *bufio.Reader) (string, error) {
	raw, err := reader.ReadSlice('\n')
	return string(bytes.TrimRight(raw, "\r\n")), err
}

func (r *request) locate(target string) error {
	path, query, _ := strings.Cut(target, "?")
	if query != "" {
		values, err := url.ParseQuery(query)
		if err != nil {
			return err
		}
		r.query = values
	}
	if strings.Contains(path, "%") {
		plain, err := url.PathUnescape(path)
		if err != nil {
			return err
		}
		path = plain
	}
	r.path = path
	r.bucket, r.key, _ = strings.Cut(path[1:], "/")
	return nil
}

// header takes in one header line; most say nothing to this store.
func (r *request) header(line []byte) error {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return errMalformed
	}
	name, value := line[:colon], bytes.TrimSpace(line[colon+1:])
	switch len(name) {
	case len("content-length"):
		if bytes.EqualFold(name, []byte("content-length")) {
			length, err := strconv.ParseInt(string(value), 10, 64)
			if err != nil || length < 0 {
				return errMalformed
			}
			r.length = length
		}
	case len("expect"):
		r.waits = r.waits || bytes.EqualFold(name, []byte("expect"))
	case len("connection"):
		if bytes.EqualFold(name, []byte("connection")) {
			r.closes = bytes.EqualFold(value, []byte("close"))
		}
	case len("transfer-encoding"):
		if bytes.EqualFold(name, []byte("transfer-encoding")) {
			return errMalformed // nobody who is measured here sends chunks
		}
	}
	if len(name) > 15 && bytes.EqualFold(name[:15], []byte("x-amz-checksum-")) {
		r.checksum = string(name) + ": " + string(value) + "\r\n"
	}
	return nil
}
