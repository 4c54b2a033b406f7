package main

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// hookOf returns a webhook to a server, and a context that ends the server's connections.
func hookOf(t *testing.T, url string, headers ...string) *webhook {
	t.Helper()
	w, err := newWebhook(url, headers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.CloseIdleConnections)
	return w
}

func TestWebhookIsPostedTheEvents(t *testing.T) {
	events := []event{fail(1, 2), fail(1, 3)}
	var got *http.Request
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	w := hookOf(t, server.URL+"/path?token=1", "Authorization: Bearer x:y", "X-Team:  ops ", "Content-Type: text/plain")
	if out := w.deliver(context.Background(), "me@1", events); out != (outcome{}) {
		t.Fatalf("outcome %+v", out)
	}
	if got.Method != "POST" || got.RequestURI != "/path?token=1" || string(body) != string(payload(events)) {
		t.Errorf("%s %s: %s", got.Method, got.RequestURI, body)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer x:y", "X-Team": "ops", "Content-Type": "application/json",
		"Idempotency-Key": batchKey(events), "Grepd-Node": "me@1",
	} {
		if values := got.Header.Values(name); !slices.Equal(values, []string{want}) {
			t.Errorf("header %s is %q, want %q", name, values, want)
		}
	}
}

func TestAnswersSayWhetherToTryAgain(t *testing.T) {
	for status, retry := range map[int]bool{400: false, 401: false, 404: false, 408: true, 425: true, 429: true, 500: true, 502: true, 503: true} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
			io.WriteString(w, "no mood\n"+strings.Repeat("x", 10*answerBytesMax))
		}))
		out := hookOf(t, server.URL).deliver(context.Background(), "me@1", []event{fail(1, 2)})
		if out.err == nil || out.retry != retry || out.after != 7*time.Second || !strings.Contains(out.err.Error(), "no mood") || len(out.err.Error()) > 2*answerBytesMax {
			t.Errorf("status %d: %+v", status, out)
		}
		server.Close()
	}
}

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	now := time.Date(2026, 11, 22, 6, 40, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, "-1": 0, "soon": 0, "99999999999999999999": 0,
		"Sun, 22 Nov 2026 06:41:00 GMT": time.Minute, "Sun, 22 Nov 2026 06:39:00 GMT": 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("Retry-After: %s means %v, want %v", text, got, want)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	followed := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.RedirectHandler(other.URL, status))
		out := hookOf(t, server.URL, "Authorization: secret").deliver(context.Background(), "me@1", []event{fail(1, 2)})
		if out.err == nil || out.retry || followed || !strings.Contains(out.err.Error(), "redirects are not followed") {
			t.Errorf("status %d: %+v, followed: %t", status, out, followed)
		}
		server.Close()
	}
}

func TestReceiverHasToProveWhoItIs(t *testing.T) {
	reached := false
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	out := hookOf(t, server.URL+"/secret").deliver(context.Background(), "me@1", []event{fail(1, 2)})
	if out.err == nil || reached || !strings.Contains(out.err.Error(), "certificate") || strings.Contains(out.err.Error(), "secret") {
		t.Errorf("an unknown certificate: %+v, reached: %t", out, reached)
	}
	w := hookOf(t, server.URL)
	w.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	if out := w.deliver(context.Background(), "me@1", []event{fail(1, 2)}); out.err != nil || !reached {
		t.Errorf("a known certificate: %+v, reached: %t", out, reached)
	}
}

func TestReceiverThatIsNotThereIsTriedAgain(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	out := hookOf(t, server.URL+"/secret").deliver(context.Background(), "me@1", []event{fail(1, 2)})
	if out.err == nil || !out.retry || strings.Contains(out.err.Error(), "secret") {
		t.Errorf("outcome %+v", out)
	}
}

func TestReceiverThatHangsIsGivenUp(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	w := hookOf(t, server.URL)
	w.client.Timeout = 50 * time.Millisecond
	if out := w.deliver(context.Background(), "me@1", []event{fail(1, 2)}); out.err == nil || !out.retry {
		t.Errorf("outcome %+v", out)
	}
	w.client.Timeout = 0
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	if out := w.deliver(ctx, "me@1", []event{fail(1, 2)}); out.err == nil {
		t.Error("a delivery goes on though it was cut off")
	}
}

func TestWebhookRefusesWhatCannotWork(t *testing.T) {
	for _, url := range []string{"", "host/path", "ftp://host", "https://", "https:///path", "http://a b", "://"} {
		if w, err := newWebhook(url, nil); err == nil {
			t.Errorf("%q is taken for %+v", url, w)
		}
	}
	for _, header := range []string{"", "Authorization", ": x", "two words: x", "X: a\nY: b"} {
		if _, err := newWebhook("https://host", []string{"A: b", header}); err == nil || !strings.Contains(err.Error(), "header 2") {
			t.Errorf("header %q: %v", header, err)
		}
	}
}

func TestHeadersAreReadFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(path, []byte("# of the pager\n\nAuthorization: x\r\n  X-Team: ops"), 0o600); err != nil {
		t.Fatal(err)
	}
	if headers, err := readHeaders(path); err != nil || !slices.Equal(headers, []string{"Authorization: x", "X-Team: ops"}) {
		t.Errorf("headers %q, %v", headers, err)
	}
	if _, err := readHeaders(path + "x"); err == nil || !strings.Contains(err.Error(), path+"x") {
		t.Errorf("a file that is missing: %v", err)
	}
}
