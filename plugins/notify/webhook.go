package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// requestTimeout bounds one request, from the look-up of the name to the answer's end.
	requestTimeout = 10 * time.Second
	// answerBytesMax bounds what is read of an answer, to tell what went wrong.
	answerBytesMax = 500
	// headersBytesMax bounds the file of headers.
	headersBytesMax = 64 << 10
)

// webhook posts each notification to a URL, which may hold a secret and is in no error.
type webhook struct {
	url     string
	headers http.Header
	client  *http.Client
}

var _ destination = (*webhook)(nil)

// newWebhook checks the URL, and the headers, which are lines like "Name: value".
func newWebhook(target string, headers []string) (*webhook, error) {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("the webhook is not a URL like https://host/path")
	}
	w := &webhook{url: target, headers: http.Header{}, client: newClient()}
	for i, line := range headers {
		name, value, found := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !found || name == "" || strings.ContainsAny(name, " \t") || strings.ContainsAny(value, "\r\n\x00") {
			return nil, fmt.Errorf("header %d of the webhook is not like %q", i+1, "Name: value")
		}
		w.headers.Add(name, value)
	}
	return w, nil
}

// newClient follows no redirect: it could lead the headers, and what they are secrets for,
// to another host or out of TLS.
func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	transport.MaxIdleConns, transport.IdleConnTimeout = 1, requestTimeout
	return &http.Client{
		Timeout: requestTimeout, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// readHeaders reads a file of headers, one a line; empty lines and comments (#) are skipped.
func readHeaders(path string) (headers []string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the webhook's headers: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(io.LimitReader(file, headersBytesMax))
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" && !strings.HasPrefix(line, "#") {
			headers = append(headers, line)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the webhook's headers: %s: %w", path, err)
	}
	return headers, nil
}

func (*webhook) name() string { return "webhook" }

func (w *webhook) deliver(ctx context.Context, self string, events []event) outcome {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(payload(events)))
	if err != nil {
		return outcome{err: withoutURL(err)}
	}
	request.Header = w.headers.Clone()
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "grepd-notify")
	request.Header.Set("Idempotency-Key", batchKey(events))
	request.Header.Set("Grepd-Node", self)
	response, err := w.client.Do(request)
	if err != nil {
		return outcome{err: withoutURL(err), retry: true}
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(response.Body, answerBytesMax)) // for people; part of it will do
	return judge(response, answer)
}

// judge says what an answer means.
func judge(response *http.Response, answer []byte) outcome {
	status := response.StatusCode
	switch {
	case status >= 200 && status < 300:
		return outcome{}
	case status >= 300 && status < 400:
		return outcome{err: fmt.Errorf("the webhook answers %s: redirects are not followed; give the URL that it leads to", response.Status)}
	}
	out := outcome{err: fmt.Errorf("the webhook answers %s", response.Status)}
	if text := strings.TrimSpace(string(answer)); text != "" {
		out.err = fmt.Errorf("%w: %s", out.err, strings.ToValidUTF8(text, "?"))
	}
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		out.retry = true
	default:
		out.retry = status >= 500
	}
	out.after = retryAfter(response.Header.Get("Retry-After"), time.Now())
	return out
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(0, date.Sub(now))
	}
	return 0
}

// withoutURL takes the URL out of an error of net/http.
func withoutURL(err error) error {
	var withURL *url.Error
	if errors.As(err, &withURL) {
		err = withURL.Err
	}
	return fmt.Errorf("post to the webhook: %w", err)
}

// batchKey is the same for the same events: the key of one, or a digest of several.
func batchKey(events []event) string {
	if len(events) == 1 {
		return events[0].key
	}
	hash := sha256.New()
	for i := range events {
		io.WriteString(hash, events[i].key+"\n")
	}
	return "batch/" + hex.EncodeToString(hash.Sum(nil)[:16])
}
