//! What stands below what.

use super::*;
use crate::facts::{ClassSelection, Store};
use crate::translate::Options;

/// A unit of this stratum asks for what another one comes to.
fn ask(stratum: Stratum, derived: &Derived) {
    let store = Store::new(ClassSelection::default());
    let (options, memo, log) = (Options::default(), Memo::default(), Log::default());
    let input = Input {
        stratum,
        ..Input::new(&store, &options, &memo, &log)
    };
    let _ = derived.value(input);
    assert_eq!(*log.into_reads(), [derived.fact()]);
}

#[test]
fn a_unit_reads_what_stands_below_it() {
    let name = NamespacedName::new("a", "b");
    ask(Stratum::Made, &Derived::Source(Host::any()));
    ask(Stratum::Taker, &Derived::Source(Host::any()));
    ask(Stratum::Own, &Derived::AffordsHostless(name.clone()));
    ask(Stratum::Allowed, &Derived::Account(name));
}

#[test]
#[should_panic(expected = "does not stand below Offer")]
fn and_nothing_of_its_own_stratum() {
    ask(Stratum::Offer, &Derived::Choice(Host::any()));
}

#[test]
#[should_panic(expected = "does not stand below Ingress")]
fn and_nothing_above_it() {
    ask(Stratum::Ingress, &Derived::OnHttp(Host::any()));
}
