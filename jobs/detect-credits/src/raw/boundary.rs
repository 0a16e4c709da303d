//! Where the panics of libraries that decode files end.
//!
//! Arrow, Parquet and the unpackers panic on some damage. Whatever calls them on bytes of the export does so within
//! [`decoding`]: a panic is then an error that names the file. What cannot be caught (a stack that overflows, memory
//! that is not there) must be ruled out before: see `shapes` and `pages`.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use schemas::excerpt;

use crate::DetectError;
use crate::error::bad_file;

thread_local! {
    /// True while this thread decodes bytes of a file.
    static IS_DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Runs what decodes bytes of a file. A panic is an error that names the file, and prints nothing.
pub(crate) fn decoding<T>(file: &str, decode: impl FnOnce() -> Result<T, DetectError>) -> Result<T, DetectError> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let hook = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_DECODING.get() {
                hook(panic);
            }
        }));
    });
    let before = IS_DECODING.replace(true);
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    IS_DECODING.set(before);
    decoded.unwrap_or_else(|panic| {
        let said = said(panic.as_ref());
        Err(bad_file(file, format!("is damaged ({}); copy the file again", excerpt(said))))
    })
}

/// The first line of what a panic says.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.and_then(|text| text.lines().next()).unwrap_or("it cannot be decoded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_names_the_file_and_says_why_in_one_short_line() {
        let long = "x".repeat(1_000);
        for (message, said) in [("no such index\nat all", "no such index".to_owned()), (&long, "x".repeat(100) + "…")]
        {
            let failure = decoding::<()>("a.parquet", || panic!("{message}")).unwrap_err();
            assert_eq!(failure.to_string(), format!("a.parquet: is damaged ({said}); copy the file again"));
        }
        assert!(!IS_DECODING.get());
    }
}
