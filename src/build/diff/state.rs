//! One of the two states, as it is asked.

use crate::facts::Log;
use crate::model::{Front, Host};
use crate::translate::{HostUnit, Input, Memo};

use super::super::Builder;

/// A state, and what is needed to ask it.
pub struct State<'a> {
    pub builder: &'a Builder,
    pub input: Input<'a>,
}

impl<'a> State<'a> {
    pub fn new(builder: &'a Builder, memo: &'a Memo, log: &'a Log) -> Self {
        let input = Input::new(&builder.store, &builder.options, memo, log);
        Self { builder, input }
    }

    pub fn unit(&self, front: &Front, host: &Host) -> HostUnit {
        self.builder.languages.host(self.input, front, host)
    }
}
