//! A host's shard: the same for every spelling of it, and for every host there is, as Envoy finds it before it chooses a
//! table.
//!
//! A bit of the shard is the parity of the host's characters that are of a set. An expression says so without regard to case and
//! without the port, and Envoy compiles it once. What it does not know as a host (400 later) has some shard too.

/// Characters of each bit's set: ranges, as Envoy takes an expression of at most 100 instructions.
const SETS: [&[(char, char)]; 4] = [
    &[('a', 'g'), ('x', 'x'), ('0', '3')],
    &[('d', 'm'), ('v', 'v'), ('2', '5')],
    &[('h', 'p'), ('s', 's'), ('4', '7')],
    &[('l', 't'), ('6', '9')],
];
/// What hosts are made of.
const CHARACTERS: [(char, char); 5] = [('a', 'z'), ('0', '9'), ('.', '.'), ('_', '_'), ('-', '-')];

/// What the header that chooses the table is set to.
pub fn format() -> String {
    let bit = |set: &[(char, char)]| {
        let is_of = |character: &char| holds(set, *character);
        let all = CHARACTERS.iter().flat_map(|(first, last)| *first..=*last);
        let (of, others): (String, String) = all.partition(is_of);
        // Last, where it is no range.
        let others = others.replace('-', "") + "-";
        let even = format!("([{others}]*[{of}][{others}]*[{of}])*[{others}]*");
        format!("%CEL(request.host.matches('(?i)^{even}(:.*)?$'))%")
    };
    SETS.map(bit).concat()
}

/// What that comes to.
pub fn of(host: &str) -> String {
    let bit = |set| {
        let characters = host.to_ascii_lowercase();
        let count = characters.chars().filter(|it| holds(set, *it)).count();
        (count % 2 == 0).to_string()
    };
    SETS.map(bit).concat()
}

/// All that it may come to.
pub fn all() -> impl Iterator<Item = String> {
    (0..1 << SETS.len()).map(|bits| {
        let bit = |at| (bits >> at & 1 == 1).to_string();
        (0..SETS.len()).map(bit).collect()
    })
}

fn holds(set: &[(char, char)], character: char) -> bool {
    set.iter()
        .any(|(first, last)| (*first..=*last).contains(&character))
}
