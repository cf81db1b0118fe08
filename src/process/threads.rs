//! How many threads bulk work is shared by.

/// The most threads for work in bulk. On a node of 64 cores, 64 threads would be 64 arenas of the allocator and nothing
/// else.
const THREADS: usize = 4;

/// How many threads work in bulk is shared by.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS))
}
