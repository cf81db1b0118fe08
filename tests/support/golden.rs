//! Files that a test compares with what it found, and writes where it is asked to.

/// Whether this run writes what it would compare: `UPDATE_GOLDEN=1`. Not in CI, where a test that writes what it expects
/// could not fail and nobody would read the diff.
pub fn updates() -> bool {
    let updates = std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1");
    assert!(
        !updates || std::env::var("CI").as_deref() != Ok("true"),
        "UPDATE_GOLDEN in CI: a test that writes what it expects can't fail"
    );
    updates
}
