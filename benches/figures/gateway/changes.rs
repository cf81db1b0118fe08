//! The changes that are measured.

use crate::objects::{Endpoints, Object, endpoint_slice};

use super::objects::{Route, route};

/// The route that changes.
pub const CHANGED: usize = 500;
/// A change of one object, back and forth.
pub struct Change {
    pub name: &'static str,
    /// The n-th one, of this route.
    pub make: fn(usize, usize) -> Vec<Object>,
}

/// What is measured.
pub const CHANGES: [Change; 4] = [
    Change {
        name: "route change (a header of its requests)",
        make: |host, serial| {
            let edition = ["one", "two"][serial % 2];
            vec![route(
                host,
                Route {
                    edition,
                    generation: serial + 2,
                    ..Route::PLAIN
                },
            )]
        },
    },
    Change {
        name: "weight change",
        make: |host, serial| {
            let weights = [[0, 1], [1, 0]][serial % 2];
            vec![route(
                host,
                Route {
                    weights,
                    generation: serial + 2,
                    ..Route::PLAIN
                },
            )]
        },
    },
    Change {
        name: "endpoint change",
        make: |host, serial| {
            let endpoints = Endpoints::Serial([10, 11][serial % 2]);
            vec![endpoint_slice(host, endpoints)]
        },
    },
    Change {
        name: "detach or attach of a route",
        make: |host, serial| {
            let attached = serial % 2 == 1;
            vec![route(
                host,
                Route {
                    attached,
                    generation: serial + 2,
                    ..Route::PLAIN
                },
            )]
        },
    },
];
