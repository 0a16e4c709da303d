//! Where somebody goes on who has got in.

/// A place on this server to go on at; never another server. Browsers take a `\` for a `/`, and leave out tabs and line ends.
pub(super) fn local(next: &str) -> &str {
    let is_local = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains(|letter: char| letter == '\\' || letter.is_control());
    if is_local { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_goes_on_at_a_page_of_ours_only() {
        assert_eq!(local("/credits?status=active"), "/credits?status=active");
        for other in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "credits",
        ] {
            assert_eq!(local(other), "/", "{other}");
        }
    }
}
