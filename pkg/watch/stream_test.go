package watch

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/internal/membertest"
)

// These tests run against a server that implements the watch protocol over net.Pipe, in a
// bubble, where an hour takes no time. Other tests cover a real API server.

// listedAt5 sends a streamed list of one object.
func listedAt5(w http.ResponseWriter) {
	send(w, `{"type":"ADDED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":"web","uid":"u","resourceVersion":"3"}}}`)
	send(w, `{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"5","annotations":{"k8s.io/initial-events-end":"true"}}}}`)
}

func send(w http.ResponseWriter, event string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, event+"\n")
	w.(http.Flusher).Flush()
}

// stayOpen keeps a watch open for the requested time.
func stayOpen(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.(http.Flusher).Flush()
	seconds, _ := strconv.Atoi(r.URL.Query().Get("timeoutSeconds"))
	select {
	case <-r.Context().Done():
	case <-time.After(time.Duration(seconds) * time.Second):
	}
}

// healthyServer is a healthy server.
func healthyServer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		listedAt5(w)
	}
	stayOpen(w, r)
}

func refuse(w http.ResponseWriter, code int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":"no"}`, reason, code)
}

// asked is one request, and when it came.
type asked struct {
	at      time.Duration
	what    string // "list", "watch from 5", "list by watch"
	seconds int    // the requested duration of the watch
}

// watchPipe runs a watcher of one watch against a server and returns its requests.
func watchPipe(t *testing.T, respond http.HandlerFunc) (*Watcher, *recorder, func() []asked) {
	cluster := membertest.NewPipe(t)
	var mu sync.Mutex
	var requests []asked
	cluster.Set(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		one := asked{at: time.Since(cluster.Started), what: "list"}
		if query.Get("watch") != "" {
			one.what = "watch from " + query.Get("resourceVersion")
			one.seconds, _ = strconv.Atoi(query.Get("timeoutSeconds"))
		}
		if query.Get("sendInitialEvents") == "true" {
			one.what = "list by watch"
		}
		mu.Lock()
		requests = append(requests, one)
		mu.Unlock()
		respond(w, r)
	})
	client, _ := membertest.NewClient(t, cluster.Config())
	events := newRecorder()
	w := start(t, client, events.sink, Watch{Resource: membertest.ConfigMaps})
	return w, events, func() []asked {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(requests)
	}
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, e := range r.events {
		list = append(list, line(e))
	}
	return list
}

func whats(list []asked) []string {
	var got []string
	for _, one := range list {
		got = append(got, one.what)
	}
	return got
}

func TestWatchIsResumedWhereTheServerEndedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, events, requests := watchPipe(t, healthyServer)
		<-time.After(time.Hour)
		got := requests()
		if len(got) < 6 || len(got) > 12 {
			t.Errorf("%d requests in an hour, want 6 to 12", len(got))
		}
		for i, one := range got {
			what := "watch from 5"
			if i == 0 {
				what = "list by watch"
			}
			if one.what != what || one.seconds < 300 || one.seconds > 600 {
				t.Errorf("request %d at %v: %s for %d s, want %s for 5 to 10 minutes", i, one.at, one.what, one.seconds, what)
			}
			if i > 0 && one.at-got[i-1].at < 5*time.Minute {
				t.Errorf("request %d at %v, after one at %v: want 5 minutes between them", i, one.at, got[i-1].at)
			}
		}
		membertest.Want(t, "events", events.all(), []string{"upserted a", "listed"})
		if !w.State(Watch{Resource: membertest.ConfigMaps}).Synced {
			t.Error("Synced = false, want true")
		}
	})
}

func TestWatchListsAgainIfItsHistoryIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, events, requests := watchPipe(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("resourceVersion") == "5" && r.URL.Query().Get("sendInitialEvents") == "" {
				send(w, `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","code":410,"reason":"Expired","message":"too old"}}`)
				return
			}
			healthyServer(w, r)
		})
		<-time.After(11 * time.Minute)
		got := requests()
		membertest.Want(t, "requests", whats(got[:3]), []string{"list by watch", "watch from 5", "list by watch"})
		if pause := got[2].at - got[1].at; pause > time.Second {
			t.Errorf("listed again after %v, want within 1 s", pause)
		}
		membertest.Want(t, "events", events.all()[:3], []string{"upserted a", "listed", "listed"})
	})
}

func TestWatchListsIfTheServerDoesNotStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, events, requests := watchPipe(t, func(w http.ResponseWriter, r *http.Request) {
			switch query := r.URL.Query(); {
			case query.Get("sendInitialEvents") != "":
				refuse(w, http.StatusUnprocessableEntity, "Invalid")
			case query.Get("watch") != "":
				stayOpen(w, r)
			default:
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"5"},"items":[{"metadata":{"name":"a","uid":"u","resourceVersion":"3"}}]}`)
			}
		})
		<-time.After(time.Minute)
		membertest.Want(t, "requests", whats(requests()), []string{"list by watch", "list", "watch from 5"})
		membertest.Want(t, "events", events.all(), []string{"upserted a", "listed"})
		if kind := events.events[0].Object.GetKind(); kind != "ConfigMap" {
			t.Errorf("kind of a listed object = %q, want ConfigMap", kind)
		}
	})
}

func TestWatchRetriesFailuresEverMoreRarely(t *testing.T) {
	for name, c := range map[string]struct {
		respond     http.HandlerFunc
		failed      []string
		first       time.Duration // the longest time between the first two requests
		least, most int           // requests in an hour
	}{
		"forbidden": {
			func(w http.ResponseWriter, _ *http.Request) { refuse(w, 403, "Forbidden") },
			[]string{"failed forbidden"},
			6 * time.Second, 75, 95,
		},
		"not served": {
			func(w http.ResponseWriter, _ *http.Request) { refuse(w, 404, "NotFound") },
			[]string{"failed not served"},
			6 * time.Second, 75, 95,
		},
		"server error": {
			func(w http.ResponseWriter, _ *http.Request) { refuse(w, 500, "InternalError") },
			[]string{"failed server", "failed server"},
			600 * time.Millisecond, 110, 140,
		},
		"token": {
			func(w http.ResponseWriter, _ *http.Request) { refuse(w, 401, "Unauthorized") },
			[]string{"failed unauthorised", "failed unauthorised"},
			6 * time.Second, 75, 95,
		},
		"hangs": {
			membertest.Hang,
			[]string{"failed timeout", "failed timeout"},
			30600 * time.Millisecond, 55, 70,
		},
		"ends every watch at once": {
			func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "application/json") },
			[]string{"failed network", "failed network"},
			600 * time.Millisecond, 110, 140,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				started := time.Now()
				w, events, requests := watchPipe(t, c.respond)
				<-time.After(time.Hour)
				got := requests()
				if len(got) < c.least || len(got) > c.most {
					t.Errorf("%d requests in an hour, want %d to %d", len(got), c.least, c.most)
				}
				if second := got[1].at; second > c.first {
					t.Errorf("second request at %v, want by %v", second, c.first)
				}
				membertest.Want(t, "events", events.all(), c.failed)
				if w.State(Watch{Resource: membertest.ConfigMaps}).Synced {
					t.Error("Synced = true, want false")
				}

				for time.Since(started)-got[len(got)-1].at < 2*young { // it is not suspected yet
					<-time.After(young)
					got = requests()
				}
				w.Poke()
				if after := requests(); len(after) != len(got)+1 {
					t.Errorf("%d requests at once after a poke, want 1", len(after)-len(got))
				}
			})
		})
	}
}

func TestPokeDoesNotAbortARecentRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, events, requests := watchPipe(t, func(w http.ResponseWriter, r *http.Request) {
			<-time.After(young / 2)
			healthyServer(w, r)
		})
		synctest.Wait()
		w.Poke()
		<-time.After(time.Minute)
		membertest.Want(t, "requests", whats(requests()), []string{"list by watch"})
		membertest.Want(t, "events", events.all(), []string{"upserted a", "listed"})
	})
}

func TestWatchReportsAnErrorInTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := true
		_, events, requests := watchPipe(t, func(w http.ResponseWriter, r *http.Request) {
			if !broken {
				healthyServer(w, r)
				return
			}
			broken = false
			listedAt5(w)
			send(w, `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","code":401,"reason":"Unauthorized","message":"expired"}}`)
		})
		<-time.After(time.Minute)
		membertest.Want(t, "requests", whats(requests()), []string{"list by watch", "list by watch"})
		membertest.Want(t, "events", events.all(), []string{"upserted a", "listed", "failed unauthorised", "listed"})
	})
}

// TestWatchIsNotSyncedBetweenTwoAttempts ends the watch regularly after a moment: nothing
// has failed, but nothing is visible either.
func TestWatchIsNotSyncedBetweenTwoAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, events, _ := watchPipe(t, func(w http.ResponseWriter, r *http.Request) {
			listedAt5(w)
			hold(r, 10*time.Second)
		})
		<-time.After(5 * time.Second)
		watch := Watch{Resource: membertest.ConfigMaps}
		if state := w.State(watch); !state.Synced || state.Err != nil || state.Failures != 0 {
			t.Errorf("while it is open, State = %+v; want it synced", state)
		}
		<-time.After(5*time.Second + 200*time.Millisecond)
		if state := w.State(watch); state.Synced || state.Err == nil || state.Failures != 1 || time.Since(state.Since) != 200*time.Millisecond {
			t.Errorf("after its end, State = %+v; want it not synced, for 200 ms, after 1 failure", state)
		}
		membertest.Want(t, "events", events.all(), []string{"upserted a", "listed"})
		<-time.After(time.Minute)
		if state := w.State(watch); state.Failures < 2 {
			t.Errorf("a minute later, State = %+v; want 2 failures at least", state)
		}
	})
}

// TestWatchNoticesARestoredCluster replaces the etcd behind the same address.
func TestWatchNoticesARestoredCluster(t *testing.T) {
	// The connection breaks, and another etcd answers the next request.
	for name, restored := range map[string]string{
		"an earlier list": `{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"2","annotations":{"k8s.io/initial-events-end":"true"}}}}`,
		"an older object": strings.ReplaceAll(strings.ReplaceAll(object7, "MODIFIED", "ADDED"), `"7"`, `"1"`) + "\n" + `{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"90","annotations":{"k8s.io/initial-events-end":"true"}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := true
				_, events, _ := watchPipe(t, func(w http.ResponseWriter, r *http.Request) {
					if first {
						first = false
						listedAt5(w)
						hold(r, 2*time.Minute)
						panic(http.ErrAbortHandler)
					}
					if r.URL.Query().Get("sendInitialEvents") != "" {
						send(w, restored)
					}
					stayOpen(w, r)
				})
				<-time.After(time.Hour)
				got := events.all()
				object := "deleted a"
				if name == "an older object" {
					object = "upserted a"
				}
				membertest.Want(t, "events", got, []string{"upserted a", "listed", "restored", object, "listed"})
			})
		})
	}
}

func TestWatchRecoversAndReportsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := time.Now().Add(20 * time.Minute)
		_, events, _ := watchPipe(t, func(w http.ResponseWriter, r *http.Request) {
			if time.Now().Before(until) {
				refuse(w, 403, "Forbidden")
				return
			}
			healthyServer(w, r)
		})
		<-time.After(time.Hour)
		synctest.Wait()
		membertest.Want(t, "events", events.all(), []string{"failed forbidden", "upserted a", "listed"})
	})
}
