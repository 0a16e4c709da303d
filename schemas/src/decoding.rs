//! Where panics of libraries that decode files end.
//!
//! Arrow, Parquet and the unpackers panic on some damage. Whatever calls them on bytes of the export or of the lake does so
//! within [`decoding`]: a panic is then an error like any other. What cannot be caught (a stack that overflows, memory that
//! is not there) must be ruled out before.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// True while this thread decodes bytes of a file.
    static IS_DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Runs what decodes bytes of a file. A panic prints nothing.
///
/// # Errors
/// The first line of what a panic says.
pub fn decoding<T>(decode: impl FnOnce() -> T) -> Result<T, String> {
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
    decoded.map_err(|panic| said(panic.as_ref()))
}

/// The first line of what a panic says.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.and_then(|text| text.lines().next()).unwrap_or("it cannot be decoded").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_the_first_line_of_what_it_says() {
        assert_eq!(decoding(|| 5), Ok(5));
        let message = "no such index\nat all".to_owned();
        assert_eq!(decoding::<()>(|| panic!("{message}")), Err("no such index".to_owned()));
        assert_eq!(decoding::<()>(|| panic!("short")), Err("short".to_owned()));
        assert!(!IS_DECODING.get());
    }
}
