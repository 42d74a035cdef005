package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var groupVersion = schema.GroupVersion{Group: "bench.example.com", Version: "v1"}

// Spec and status as widget-crd.yaml has them.
type WidgetSpec struct {
	Title         string            `json:"title"`
	Owner         string            `json:"owner"`
	Tier          string            `json:"tier"`
	Zone          string            `json:"zone,omitempty"`
	Image         string            `json:"image,omitempty"`
	Replicas      int32             `json:"replicas,omitempty"`
	Weight        int32             `json:"weight,omitempty"`
	CapacityBytes int64             `json:"capacityBytes,omitempty"`
	Enabled       bool              `json:"enabled,omitempty"`
	Stamp         int64             `json:"stamp,omitempty"`
	Tags          []string          `json:"tags,omitempty"`
	Params        map[string]string `json:"params,omitempty"`
}

type WidgetStatus struct {
	Observed           string `json:"observed,omitempty"`
	ObservedGeneration int64  `json:"observedGeneration,omitempty"`
}

type Widget struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              WidgetSpec   `json:"spec"`
	Status            WidgetStatus `json:"status,omitempty"`
}

type WidgetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Widget `json:"items"`
}

func (w *Widget) DeepCopyInto(out *Widget) {
	*out = *w
	w.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	out.Spec.Tags = slices.Clone(w.Spec.Tags)
	out.Spec.Params = maps.Clone(w.Spec.Params)
}

func (w *Widget) DeepCopyObject() runtime.Object {
	out := new(Widget)
	w.DeepCopyInto(out)
	return out
}

func (l *WidgetList) DeepCopyObject() runtime.Object {
	out := &WidgetList{TypeMeta: l.TypeMeta, Items: make([]Widget, len(l.Items))}
	l.ListMeta.DeepCopyInto(&out.ListMeta)
	for i := range l.Items {
		l.Items[i].DeepCopyInto(&out.Items[i])
	}
	return out
}

// digest is FNV-1a 64 over the salt and every field of the spec, each followed by a zero byte.
type digest uint64

const (
	fnvOffset digest = 14695981039346656037
	fnvPrime  digest = 1099511628211
)

func (d *digest) bytes(text string) {
	h := *d
	for i := 0; i < len(text); i++ {
		h = (h ^ digest(text[i])) * fnvPrime
	}
	*d = h
}

func (d *digest) end() { *d *= fnvPrime } // of the zero byte

func (d *digest) text(text string) {
	d.bytes(text)
	d.end()
}

func (d *digest) number(value int64) {
	var buffer [20]byte
	h := *d
	for _, c := range strconv.AppendInt(buffer[:0], value, 10) {
		h = (h ^ digest(c)) * fnvPrime
	}
	*d = h
	d.end()
}

func observed(salt string, spec *WidgetSpec) string {
	d := fnvOffset
	for _, text := range []string{salt, spec.Title, spec.Owner, spec.Tier, spec.Zone, spec.Image} {
		d.text(text)
	}
	d.number(int64(spec.Replicas))
	d.number(int64(spec.Weight))
	d.number(spec.CapacityBytes)
	d.text(strconv.FormatBool(spec.Enabled))
	d.number(spec.Stamp)
	for _, tag := range spec.Tags {
		d.text(tag)
	}
	for _, key := range slices.Sorted(maps.Keys(spec.Params)) {
		d.bytes(key)
		d.bytes("=")
		d.text(spec.Params[key])
	}
	return fmt.Sprintf("%016x", uint64(d))
}
