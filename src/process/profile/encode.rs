//! pprof's `profile.proto` (<https://github.com/google/pprof/blob/main/proto/profile.proto>), the fields in use.
//!
//! By our own prost: the `pprof` crate's encoder would bring a second, older one.

use std::collections::HashMap;

use pprof::Report;

/// `Profile`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Profile {
    #[prost(message, repeated, tag = "1")]
    pub(super) sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    pub(super) sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    pub(super) location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    pub(super) function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    pub(super) string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    pub(super) time_nanos: i64,
    #[prost(int64, tag = "10")]
    pub(super) duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    pub(super) period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    pub(super) period: i64,
}

/// `ValueType`: indexes of the string table.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ValueType {
    #[prost(int64, tag = "1")]
    pub(super) r#type: i64,
    #[prost(int64, tag = "2")]
    pub(super) unit: i64,
}

/// `Sample`: a stack, leaf first, its values in the order of the sample types, its labels.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    pub(super) location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    pub(super) value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    pub(super) label: Vec<Label>,
}

/// `Label`: indexes of the string table.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Label {
    #[prost(int64, tag = "1")]
    pub(super) key: i64,
    #[prost(int64, tag = "2")]
    pub(super) str: i64,
}

/// `Location`: one address; several lines where functions were inlined, the innermost first.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Location {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(message, repeated, tag = "4")]
    pub(super) line: Vec<Line>,
}

/// `Line`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Line {
    #[prost(uint64, tag = "1")]
    pub(super) function_id: u64,
    #[prost(int64, tag = "2")]
    pub(super) line: i64,
}

/// `Function`: indexes of the string table.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Function {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(int64, tag = "2")]
    pub(super) name: i64,
    #[prost(int64, tag = "3")]
    pub(super) system_name: i64,
    #[prost(int64, tag = "4")]
    pub(super) filename: i64,
}

/// The report as pprof's message: samples and nanoseconds of CPU time per stack.
pub(super) fn profile(report: &Report) -> Profile {
    let period = 1_000_000_000 / i64::from(report.timing.frequency.max(1));
    let mut tables = Tables::default();
    let empty = tables.string("");
    debug_assert_eq!(empty, 0, "the first string of the table must be empty");
    let mut profile = Profile {
        sample_type: vec![
            tables.value_type("samples", "count"),
            tables.value_type("cpu", "nanoseconds"),
        ],
        period_type: Some(tables.value_type("cpu", "nanoseconds")),
        period,
        time_nanos: report
            .timing
            .start_time
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |time| i64::try_from(time.as_nanos()).unwrap_or(0)),
        duration_nanos: i64::try_from(report.timing.duration.as_nanos()).unwrap_or(0),
        ..Profile::default()
    };
    let thread = tables.string("thread");
    for (stack, count) in &report.data {
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        profile.sample.push(Sample {
            location_id: stack
                .frames
                .iter()
                .map(|frame| tables.location(frame))
                .collect(),
            value: vec![count, count.saturating_mul(period)],
            label: vec![Label {
                key: thread,
                str: tables.string(&stack.thread_name_or_id()),
            }],
        });
    }
    profile.location = tables.locations;
    profile.function = tables.functions;
    profile.string_table = tables.strings;
    profile
}

/// What samples refer to, each once.
#[derive(Default)]
struct Tables {
    strings: Vec<String>,
    string_ids: HashMap<String, i64>,
    functions: Vec<Function>,
    function_ids: HashMap<(i64, i64), u64>,
    locations: Vec<Location>,
    location_ids: HashMap<Vec<(u64, i64)>, u64>,
}

impl Tables {
    fn string(&mut self, text: &str) -> i64 {
        if let Some(id) = self.string_ids.get(text) {
            return *id;
        }
        let id = self.strings.len() as i64;
        self.strings.push(text.to_owned());
        self.string_ids.insert(text.to_owned(), id);
        id
    }

    fn value_type(&mut self, r#type: &str, unit: &str) -> ValueType {
        ValueType {
            r#type: self.string(r#type),
            unit: self.string(unit),
        }
    }

    fn location(&mut self, frame: &[pprof::Symbol]) -> u64 {
        let lines: Vec<_> = frame
            .iter()
            .map(|symbol| (self.function(symbol), i64::from(symbol.lineno())))
            .collect();
        let id = self.locations.len() as u64 + 1;
        *self.location_ids.entry(lines).or_insert_with_key(|lines| {
            let line = lines
                .iter()
                .map(|&(function_id, line)| Line { function_id, line });
            self.locations.push(Location {
                id,
                line: line.collect(),
            });
            id
        })
    }

    fn function(&mut self, symbol: &pprof::Symbol) -> u64 {
        let (name, filename) = (self.string(&symbol.name()), self.string(&symbol.filename()));
        let system_name = self.string(&symbol.sys_name());
        let id = self.functions.len() as u64 + 1;
        *self
            .function_ids
            .entry((system_name, filename))
            .or_insert_with(|| {
                self.functions.push(Function {
                    id,
                    name,
                    system_name,
                    filename,
                });
                id
            })
    }
}
