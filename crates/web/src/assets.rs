//! Files of the program itself: style, script, pictures' library. Nothing is loaded from elsewhere.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// A file, and what it is.
pub(crate) struct Asset {
    name: &'static str,
    content_type: &'static str,
    pub(crate) bytes: &'static [u8],
    /// Changes with its bytes.
    version: LazyLock<String>,
}

macro_rules! asset {
    ($name:literal, $content_type:literal, $file:literal) => {
        Asset {
            name: $name,
            content_type: $content_type,
            bytes: include_bytes!($file),
            version: LazyLock::new(|| version(include_bytes!($file))),
        }
    };
}

pub(crate) static STYLE: Asset = asset!("style.css", "text/css; charset=utf-8", "../assets/style.css");
pub(crate) static SCRIPT: Asset = asset!("script.js", "text/javascript; charset=utf-8", "../assets/script.js");
pub(crate) static ICON: Asset = asset!("icon.svg", "image/svg+xml", "../assets/icon.svg");
/// Apache ECharts 6.1.0, as its makers publish it; licence and notice lie beside it.
pub(crate) static ECHARTS: Asset =
    asset!("echarts.min.js", "text/javascript; charset=utf-8", "../assets/echarts/echarts.min.js");

static ALL: [&Asset; 4] = [&STYLE, &SCRIPT, &ICON, &ECHARTS];

fn version(bytes: &[u8]) -> String {
    let sum = Sha256::digest(bytes);
    sum.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

impl Asset {
    /// Its address. It changes with its bytes, so that browsers may keep it.
    pub(crate) fn address(&self) -> String {
        format!("/assets/{}?v={}", self.name, *self.version)
    }
}

pub(crate) async fn asset(Path(name): Path<String>) -> Response {
    match ALL.iter().find(|asset| asset.name == name) {
        Some(asset) => {
            let headers = [(CONTENT_TYPE, asset.content_type), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
            (headers, asset.bytes).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_library_is_what_its_makers_published() {
        let sum = Sha256::digest(ECHARTS.bytes);
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(sum, "b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0");
    }

    #[test]
    fn nothing_of_ours_is_loaded_from_elsewhere() {
        for asset in [&STYLE, &SCRIPT] {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            assert!(!text.contains("://") && !text.contains("@import"), "{}", asset.name);
        }
    }

    #[tokio::test]
    async fn file_is_kept_by_browsers_under_an_address_that_changes_with_its_bytes() {
        for known in ALL {
            let answer = asset(Path(known.name.to_owned())).await;
            assert_eq!(answer.headers()[CONTENT_TYPE], known.content_type);
            assert_eq!(answer.headers()[CACHE_CONTROL], "public, max-age=31536000, immutable");
            let address = known.address();
            let (path, version) = address.split_once("?v=").unwrap();
            assert_eq!(path, format!("/assets/{}", known.name));
            assert_eq!(version, &version_of(known)[..8], "{address}");
        }
        for other in ["", "style", "../server.rs", "STYLE.CSS"] {
            assert_eq!(asset(Path(other.to_owned())).await.status(), StatusCode::NOT_FOUND, "{other}");
        }
    }

    fn version_of(asset: &Asset) -> String {
        Sha256::digest(asset.bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
