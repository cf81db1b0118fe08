// Command promql says which alerts fire: Prometheus's own parser, scraper's text format and query engine, with samples
// in memory. It reads one JSON document from standard input and writes one to standard output; see input and firing.
//
// What a scrape means is done as Prometheus does it: `up` is added, labels of the page win over those of the target
// (honorLabels), and a series that is missing in a scrape, or all of them when the scrape fails, is stale from then on.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"sort"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

type input struct {
	// Seconds between two evaluations, and between two values of Series.
	Interval int64  `json:"interval"`
	Rules    []rule `json:"rules"`
	Tests    []test `json:"tests"`
}

type rule struct {
	Alert string `json:"alert"`
	Expr  string `json:"expr"`
	// Seconds.
	For int64 `json:"for"`
}

type test struct {
	// Unix time of the first evaluation and of the first value of Series, and of the last evaluation.
	Start  int64    `json:"start"`
	End    int64    `json:"end"`
	Series []series `json:"series"`
	// In order of time.
	Scrapes []scrape `json:"scrapes"`
}

// As promtool writes it: {"up{pod=\"a\"}", "1x10 _x3 0x5"}.
type series struct {
	Series string `json:"series"`
	Values string `json:"values"`
}

type scrape struct {
	At          int64             `json:"at"`
	Target      map[string]string `json:"target"`
	ContentType string            `json:"content_type"`
	// Nothing: the scrape failed.
	Page *string `json:"page"`
}

// An alert that fires, or its error, with the Unix times of the first and last evaluation at which it does.
type firing struct {
	Alert  string            `json:"alert"`
	Labels map[string]string `json:"labels"`
	From   int64             `json:"from"`
	To     int64             `json:"to"`
}

func main() {
	text, err := io.ReadAll(os.Stdin)
	check(err)
	var in input
	check(json.Unmarshal(text, &in))
	out := [][]firing{}
	for _, test := range in.Tests {
		out = append(out, run(in, test))
	}
	check(json.NewEncoder(os.Stdout).Encode(out))
}

func check(err error) {
	if err != nil {
		log.Fatal("promql: ", err)
	}
}

func run(in input, test test) []firing {
	p := parser.NewParser(parser.Options{})
	m := memory{}
	for _, s := range test.Series {
		name, values, err := p.ParseSeriesDesc(s.Series + " " + s.Values)
		check(err)
		for i, v := range values {
			if !v.Omitted {
				m.add(name, (test.Start+int64(i)*in.Interval)*1000, v.Value)
			}
		}
	}
	before := map[string]map[string]labels.Labels{}
	for _, s := range test.Scrapes {
		key := labels.FromMap(s.Target).String()
		before[key] = m.scrape(s, before[key])
	}

	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1 << 20, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, Parser: p,
	})
	fired := []firing{}
	for _, rule := range in.Rules {
		since, current := map[string]int64{}, map[string]int{}
		for at := test.Start; at <= test.End; at += in.Interval {
			active := map[string]bool{}
			for _, sample := range query(engine, m, rule.Expr, at) {
				name := sample.Metric.DropReserved(func(n string) bool { return n == labels.MetricName })
				key := name.String()
				active[key] = true
				if _, known := since[key]; !known {
					since[key] = at
				}
				if at-since[key] < rule.For {
					continue
				}
				if i, known := current[key]; known {
					fired[i].To = at
					continue
				}
				current[key] = len(fired)
				fired = append(fired, firing{rule.Alert, name.Map(), at, at})
			}
			for key := range since {
				if !active[key] {
					delete(since, key)
					delete(current, key)
				}
			}
		}
	}
	return fired
}

func query(engine *promql.Engine, m memory, expr string, at int64) promql.Vector {
	q, err := engine.NewInstantQuery(context.Background(), m, nil, expr, time.Unix(at, 0))
	check(err)
	defer q.Close()
	result := q.Exec(context.Background())
	check(result.Err)
	vector, err := result.Vector()
	check(err)
	return append(promql.Vector{}, vector...)
}

// Samples by series.
type memory map[string]*known

type known struct {
	name    labels.Labels
	samples []chunks.Sample
}

func (m memory) add(name labels.Labels, at int64, v float64) {
	key := name.String()
	if m[key] == nil {
		m[key] = &known{name: name}
	}
	m[key].samples = append(m[key].samples, point{at, v})
}

// Takes a scrape in; returns its series.
func (m memory) scrape(s scrape, before map[string]labels.Labels) map[string]labels.Labels {
	at, up := s.At*1000, 0.0
	now := map[string]labels.Labels{}
	if s.Page != nil {
		up = 1
		page, err := textparse.New([]byte(*s.Page), s.ContentType, nil, textparse.ParserOptions{
			FallbackContentType: "text/plain",
		})
		check(err)
		for {
			entry, err := page.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			check(err)
			if entry != textparse.EntrySeries {
				continue
			}
			_, _, v := page.Series()
			var name labels.Labels
			page.Labels(&name)
			builder := labels.NewBuilder(name)
			for key, of := range s.Target {
				if name.Get(key) == "" {
					builder.Set(key, of)
				}
			}
			name = builder.Labels()
			now[name.String()] = name
			m.add(name, at, v)
		}
	}
	for key, name := range before {
		if _, there := now[key]; !there {
			m.add(name, at, math.Float64frombits(value.StaleNaN))
		}
	}
	target := labels.NewBuilder(labels.FromMap(s.Target))
	m.add(target.Set(labels.MetricName, "up").Labels(), at, up)
	return now
}

func (m memory) Querier(mint, maxt int64) (storage.Querier, error) {
	return querier{m, mint, maxt}, nil
}

type querier struct {
	memory
	mint, maxt int64
}

func (q querier) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	found := []storage.Series{}
	for _, k := range q.memory {
		matches := true
		for _, m := range matchers {
			matches = matches && m.Matches(k.name.Get(m.Name))
		}
		from := sort.Search(len(k.samples), func(i int) bool { return k.samples[i].T() >= q.mint })
		to := sort.Search(len(k.samples), func(i int) bool { return k.samples[i].T() > q.maxt })
		if matches && from < to {
			found = append(found, storage.NewListSeries(k.name, k.samples[from:to]))
		}
	}
	sort.Slice(found, func(i, j int) bool { return labels.Compare(found[i].Labels(), found[j].Labels()) < 0 })
	return &set{found, -1}
}

func (querier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, fmt.Errorf("no query needs the values of a label")
}

func (querier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, fmt.Errorf("no query needs the names of labels")
}

func (querier) Close() error { return nil }

type set struct {
	series []storage.Series
	at     int
}

func (s *set) Next() bool                        { s.at++; return s.at < len(s.series) }
func (s *set) At() storage.Series                { return s.series[s.at] }
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return nil }

type point struct {
	t int64
	f float64
}

func (p point) T() int64                      { return p.t }
func (p point) ST() int64                     { return 0 }
func (p point) F() float64                    { return p.f }
func (p point) H() *histogram.Histogram       { return nil }
func (p point) FH() *histogram.FloatHistogram { return nil }
func (p point) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (p point) Copy() chunks.Sample           { return p }
