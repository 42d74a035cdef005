// The widget controller on Go's controller-runtime: what tests/bench/controller measures ours
// against. The same protocol and logic as widget_controller.cc beside it; see the README.
//
// Tuned as a careful user would: typed objects, managedFields stripped on their way into the cache,
// no client-side rate limit, eight workers, a predicate that leaves out our own status writes, caches
// of a standby warm, no metrics or health server. Two things that are faster are left as they come,
// since they are called unsafe or may read an older state, and can be asked for: BENCH_NO_DEEP_COPY
// here, and client-go's KUBE_FEATURE_WatchListClient=false, whose lists the API server's cache
// answers.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

const (
	workers      = 8
	fieldManager = "bench-controller"
)

type reconciler struct {
	client                     client.Client
	salt                       string
	noDeepCopy                 bool // what client reads is the cache's own, not to be written to
	reconciles, writes, errors atomic.Int64
	queue                      atomic.Pointer[queueOf]
}

type queueOf struct {
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
}

func (r *reconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	defer r.reconciles.Add(1)
	var widget Widget
	if err := r.client.Get(ctx, request.NamespacedName, &widget); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	wanted := WidgetStatus{observed(r.salt, &widget.Spec), widget.Generation}
	if widget.Status == wanted {
		return ctrl.Result{}, nil
	}
	body, err := json.Marshal(map[string]any{
		"apiVersion": groupVersion.String(), "kind": "Widget",
		"metadata": map[string]string{"name": widget.Name, "namespace": widget.Namespace},
		"status":   wanted,
	})
	answer := &widget
	if r.noDeepCopy {
		answer = &Widget{ObjectMeta: metav1.ObjectMeta{
			Name: widget.Name, Namespace: widget.Namespace}}
	}
	if err == nil {
		err = r.client.Status().Patch(ctx, answer, client.RawPatch(types.ApplyPatchType, body),
			client.ForceOwnership, client.FieldOwner(fieldManager))
	}
	if err != nil {
		r.errors.Add(1)
		return ctrl.Result{}, err
	}
	r.writes.Add(1)
	return ctrl.Result{}, nil
}

// resync adds every cached object to the queue once more.
func (r *reconciler) resync(ctx context.Context) error {
	at := r.queue.Load()
	if at == nil {
		return nil
	}
	var list WidgetList
	if err := r.client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	for i := range list.Items {
		at.queue.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return nil
}

func (r *reconciler) serve(ctx context.Context, listen string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"reconciles":%d,"writes":%d,"errors":%d}`, r.reconciles.Load(),
			r.writes.Load(), r.errors.Load())
	})
	mux.HandleFunc("POST /resync", func(w http.ResponseWriter, _ *http.Request) {
		if err := r.resync(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(listener, mux) }()
	return nil
}

// always is a Runnable that does not wait for the lead.
type always func(context.Context) error

func (f always) Start(ctx context.Context) error { return f(ctx) }
func (always) NeedLeaderElection() bool          { return false }

func run(ctx context.Context) error {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(groupVersion, &Widget{}, &WidgetList{})
	metav1.AddToGroupVersion(scheme, groupVersion)
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	config.QPS = -1
	lease := os.Getenv("BENCH_LEASE")
	noDeepCopy := os.Getenv("BENCH_NO_DEEP_COPY") != ""
	mgr, err := ctrl.NewManager(config, manager.Options{
		Scheme: scheme,
		Cache: cache.Options{
			DefaultTransform:             cache.TransformStripManagedFields(),
			DefaultUnsafeDisableDeepCopy: &noDeepCopy,
		},
		Metrics:                 server.Options{BindAddress: "0"},
		LeaderElection:          lease != "",
		LeaderElectionID:        lease,
		LeaderElectionNamespace: "default",
	})
	if err != nil {
		return err
	}
	r := &reconciler{
		client: mgr.GetClient(), salt: os.Getenv("BENCH_SALT"), noDeepCopy: noDeepCopy}
	warm := true
	keepQueue := source.Func(
		func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			r.queue.Store(&queueOf{q})
			return nil
		})
	err = ctrl.NewControllerManagedBy(mgr).
		Named("widget").
		For(&Widget{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(keepQueue).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, EnableWarmup: &warm}).
		Complete(r)
	if err != nil {
		return err
	}
	if err := r.serve(ctx, os.Getenv("BENCH_LISTEN")); err != nil {
		return err
	}
	err = mgr.Add(always(func(ctx context.Context) error {
		// GetInformer waits until the informer, which the controller started, has synced.
		if _, err := mgr.GetCache().GetInformer(ctx, &Widget{}); err != nil {
			return err
		}
		fmt.Println("READY")
		return nil
	}))
	if err != nil {
		return err
	}
	return mgr.Start(ctx)
}

func main() {
	ctrl.SetLogger(logr.Discard())
	if err := run(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, "rival:", err)
		os.Exit(1)
	}
}
