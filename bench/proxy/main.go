// Command proxy is the link between an uploader and a store, and can be cut.
//
// It forwards every connection to --to, at most --rate bytes a second towards the store, all connections
// together. Of each it takes in --buffer bytes that are not through yet: a link holds few, a proxy the
// many that the system lets it. It listens on the loopback only, prints its address as the first line on stdout, takes commands
// on stdin, one a line, answers each with "ok", and ends when stdin closes:
//
//	refuse     resets all connections and refuses new ones: the store's process has gone
//	blackhole  nothing goes through any more, and nothing is said: a cable was pulled. New connections are
//	           not answered, but for one or two whose handshake the kernel completes.
//	heal       all goes on; after blackhole the old connections, too
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	chunkBytes = 32 << 10
	backlog    = 4096
	rebinds    = 50
)

func main() {
	to := flag.String("to", "", "address of the store, host:port")
	rate := flag.Float64("rate", 0, "bytes a second towards the store; 0: as many as there are")
	buffer := flag.Int("buffer", 0, "bytes taken in of a connection before they are through; 0: as the system has it")
	flag.Parse()
	proxy := &proxy{to: *to, rate: *rate, buffer: *buffer, pairs: map[*pair]bool{}}
	proxy.flows = sync.NewCond(&proxy.mutex)
	if err := proxy.listen("127.0.0.1:0"); err != nil {
		fmt.Fprintln(os.Stderr, "proxy:", err)
		os.Exit(1)
	}
	fmt.Println(proxy.address)
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		if err := proxy.obey(commands.Text()); err != nil {
			fmt.Println("proxy:", err)
		} else {
			fmt.Println("ok")
		}
	}
}

// A proxy is one listening address. `mutex` guards what follows it.
type proxy struct {
	to      string
	rate    float64
	buffer  int
	address string

	mutex    sync.Mutex
	listener *net.TCPListener
	pairs    map[*pair]bool
	stopped  bool // nothing goes through
	flows    *sync.Cond
	next     time.Time // when the link is free again
}

// A pair is a client's connection and ours to the store.
type pair struct{ client, store *net.TCPConn }

func (p *proxy) obey(command string) error {
	switch command {
	case "refuse":
		return p.refuse()
	case "blackhole":
		return p.stop(true, 0)
	case "heal":
		p.mutex.Lock()
		gone := p.listener == nil
		p.mutex.Unlock()
		if gone {
			return p.listen(p.address)
		}
		return p.stop(false, backlog)
	}
	return fmt.Errorf("%q: must be refuse, blackhole or heal", command)
}

func (p *proxy) listen(address string) error {
	var listener net.Listener
	var err error
	config := net.ListenConfig{Control: p.narrow}
	for try := 0; try < rebinds; try++ { // the port may be somebody's for a moment
		if listener, err = config.Listen(context.Background(), "tcp", address); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.listener = listener.(*net.TCPListener)
	p.address = listener.Addr().String()
	go p.accept(p.listener)
	return nil
}

// narrow gives a listening socket the buffer that its connections inherit.
func (p *proxy) narrow(_, _ string, raw syscall.RawConn) error {
	if p.buffer == 0 {
		return nil
	}
	var err error
	failed := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, p.buffer)
	})
	if failed != nil {
		return failed
	}
	return err
}

func (p *proxy) accept(listener *net.TCPListener) {
	for {
		p.wait()
		client, err := listener.AcceptTCP()
		if err != nil {
			return
		}
		go p.join(client)
	}
}

// join connects a client with the store until one of them leaves.
func (p *proxy) join(client *net.TCPConn) {
	p.wait()
	store, err := net.Dial("tcp", p.to)
	if err != nil {
		reset(client)
		return
	}
	both := &pair{client, store.(*net.TCPConn)}
	p.mutex.Lock()
	p.pairs[both] = true
	p.mutex.Unlock()
	done := make(chan struct{}, 2)
	go p.pump(client, both.store, p.rate, done)
	go p.pump(both.store, client, 0, done)
	<-done
	p.mutex.Lock()
	delete(p.pairs, both)
	p.mutex.Unlock()
	_ = both.client.Close()
	_ = both.store.Close()
	<-done
}

// pump forwards one direction.
func (p *proxy) pump(from, to *net.TCPConn, rate float64, done chan<- struct{}) {
	buffer := make([]byte, chunkBytes)
	for {
		p.wait()
		count, err := from.Read(buffer)
		p.wait()
		if rate > 0 {
			time.Sleep(p.turn(float64(count) / rate))
		}
		if count > 0 {
			if _, failed := to.Write(buffer[:count]); failed != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	done <- struct{}{}
}

// turn takes `seconds` of the link, and says how long until they are over.
func (p *proxy) turn(seconds float64) time.Duration {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(seconds * float64(time.Second)))
	return p.next.Sub(now)
}

func (p *proxy) wait() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for p.stopped {
		p.flows.Wait()
	}
}

// stop has nothing go through, or all again, and has the kernel queue `backlog` new connections.
func (p *proxy) stop(stopped bool, backlog int) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.stopped = stopped
	p.flows.Broadcast()
	raw, err := p.listener.SyscallConn()
	if err != nil {
		return err
	}
	failed := raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), backlog) })
	if failed != nil {
		return failed
	}
	return err
}

func (p *proxy) refuse() error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	err := p.listener.Close()
	p.listener = nil
	for both := range p.pairs {
		reset(both.client)
		reset(both.store)
	}
	return err
}

// reset closes a connection with a RST.
func reset(connection *net.TCPConn) {
	_ = connection.SetLinger(0)
	_ = connection.Close()
}
