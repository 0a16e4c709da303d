//! Where the panics of libraries that decode files of the export end: whatever calls them does so within [`decoding`]. What
//! cannot be caught is ruled out before: see `shapes` and `pages`.

use schemas::excerpt;

use crate::error::ReadError;
use crate::error::bad_file;

/// Runs what decodes bytes of a file. A panic is an error that names the file, and prints nothing.
pub fn decoding<T, E: From<ReadError>>(file: &str, decode: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    schemas::decoding(decode).unwrap_or_else(|said| {
        Err(bad_file(file, format!("is damaged ({}); copy the file again", excerpt(&said))).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_names_the_file_and_says_why_in_one_short_line() {
        let long = "x".repeat(1_000);
        for (message, said) in [("no such index\nat all", "no such index".to_owned()), (&long, "x".repeat(100) + "…")]
        {
            let failure = decoding::<(), ReadError>("a.parquet", || panic!("{message}")).unwrap_err();
            assert_eq!(failure.to_string(), format!("a.parquet: is damaged ({said}); copy the file again"));
        }
    }
}
