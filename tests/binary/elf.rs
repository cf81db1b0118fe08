//! What the file is: a static position-independent executable that needs no loader, with its relocations made read-only
//! before `main` (Cure53 found Contour's without; reference CON-01-001).

use std::fs;
use std::path::Path;

use crate::subject::{Subject, release_binaries};

// elf.h
const ET_DYN: u16 = 3;
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_GNU_STACK: u32 = 0x6474_e551;
const PT_GNU_RELRO: u32 = 0x6474_e552;
const PF_X: u32 = 1;
const DT_NEEDED: u64 = 1;
const DT_FLAGS: u64 = 30;
const DT_FLAGS_1: u64 = 0x6fff_fffb;
const DF_BIND_NOW: u64 = 8;
const DF_1_NOW: u64 = 1;
const DF_1_PIE: u64 = 0x0800_0000;
const SHT_SYMTAB: u32 = 2;

/// The parts of a 64-bit little-endian ELF file that matter here.
#[derive(Debug)]
pub(crate) struct Elf {
    kind: u16,
    machine: u16,
    interpreter: bool,
    relro: bool,
    executable_stack: bool,
    needed: usize,
    now: bool,
    pie: bool,
    symbols: bool,
    /// `cargo auditable`'s list of crates.
    crates: bool,
}

impl Elf {
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(&bytes[..6], b"\x7fELF\x02\x01", "{}", path.display());
        let mut elf = Self {
            kind: number(&bytes, 16, 2) as u16,
            machine: number(&bytes, 18, 2) as u16,
            interpreter: false,
            relro: false,
            executable_stack: false,
            needed: 0,
            now: false,
            pie: false,
            symbols: false,
            crates: false,
        };
        for header in table(&bytes, 32, 54, 56) {
            let flags = number(&bytes, header + 4, 4) as u32;
            match number(&bytes, header, 4) as u32 {
                PT_INTERP => elf.interpreter = true,
                PT_GNU_RELRO => elf.relro = true,
                PT_GNU_STACK => elf.executable_stack = flags & PF_X != 0,
                PT_DYNAMIC => {
                    let start = number(&bytes, header + 8, 8) as usize;
                    let size = number(&bytes, header + 32, 8) as usize;
                    elf.read_dynamic(&bytes[start..start + size]);
                }
                _ => {}
            }
        }
        let sections = table(&bytes, 40, 58, 60);
        let names = sections[number(&bytes, 62, 2) as usize];
        let names = number(&bytes, names + 24, 8) as usize;
        for header in sections {
            elf.symbols |= number(&bytes, header + 4, 4) as u32 == SHT_SYMTAB;
            let name = &bytes[names + number(&bytes, header, 4) as usize..];
            elf.crates |= name.starts_with(b".dep-v0\0");
        }
        elf
    }

    fn read_dynamic(&mut self, section: &[u8]) {
        for entry in section.chunks_exact(16) {
            let value = number(entry, 8, 8);
            match number(entry, 0, 8) {
                DT_NEEDED => self.needed += 1,
                DT_FLAGS => self.now |= value & DF_BIND_NOW != 0,
                DT_FLAGS_1 => {
                    self.now |= value & DF_1_NOW != 0;
                    self.pie |= value & DF_1_PIE != 0;
                }
                _ => {}
            }
        }
    }

    /// Whether it runs without anything else on the file system.
    pub(crate) fn is_static(&self) -> bool {
        !self.interpreter && self.needed == 0
    }

    /// The name of its architecture, as Rust has it.
    pub(crate) fn architecture(&self) -> &'static str {
        match self.machine {
            EM_X86_64 => "x86_64",
            EM_AARCH64 => "aarch64",
            other => panic!("machine {other}"),
        }
    }

    /// What keeps it from being the release that we want.
    fn faults(&self) -> Vec<&'static str> {
        [
            (self.kind != ET_DYN || !self.pie, "not position-independent"),
            (self.interpreter, "needs a loader"),
            (self.needed > 0, "needs shared libraries"),
            (!self.relro, "relocations stay writable"),
            (!self.now, "binds lazily"),
            (self.executable_stack, "the stack is executable"),
            (!self.symbols, "profiles would have no names"),
        ]
        .into_iter()
        .filter_map(|(wrong, fault)| wrong.then_some(fault))
        .collect()
    }
}

/// The offsets of a table's entries; the arguments say where its offset, the size of an entry and their count are.
fn table(bytes: &[u8], offset: usize, size: usize, count: usize) -> Vec<usize> {
    let start = number(bytes, offset, 8) as usize;
    let size = number(bytes, size, 2) as usize;
    (0..number(bytes, count, 2) as usize)
        .map(|index| start + index * size)
        .collect()
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let mut value = [0; 8];
    value[..length].copy_from_slice(&bytes[at..at + length]);
    u64::from_le_bytes(value)
}

#[test]
fn the_reader_sees_that_the_test_build_is_not_static() {
    let elf = Elf::read(Subject::of_this_test().path());
    assert_eq!(
        elf.faults(),
        ["needs a loader", "needs shared libraries"],
        "{elf:?}"
    );
}

#[test]
fn release_binaries_are_static_and_hardened() {
    for subject in release_binaries() {
        let path = subject.path();
        let elf = Elf::read(path);
        assert!(
            elf.faults().is_empty(),
            "{}: {:?}",
            path.display(),
            elf.faults()
        );
        let bytes = fs::read(path).unwrap();
        let checkout = env!("CARGO_MANIFEST_DIR").as_bytes();
        assert!(
            !bytes
                .windows(checkout.len())
                .any(|window| window == checkout),
            "{}: names the folder that it was built in",
            path.display()
        );
        if std::env::var_os("ISOBATH_TEST_AUDITABLE").is_some() {
            assert!(elf.crates, "{}: no list of its crates", path.display());
        }
        eprintln!(
            "{}: {}, {:.1} MB",
            path.display(),
            elf.architecture(),
            bytes.len() as f64 / 1e6
        );
    }
}
