//! The description of the API, and a page to read it with (Swagger UI). Everything comes from this program: an intranet has no other.

use std::io::{Cursor, Read as _};

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;

use super::openapi::DESCRIPTION;
use super::problem::Problem;

/// Files of the page, and what each is.
const FILES: [(&str, &str); 5] = [
    ("index.html", "text/html; charset=utf-8"),
    ("index.css", "text/css; charset=utf-8"),
    ("swagger-ui.css", "text/css; charset=utf-8"),
    ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    ("swagger-ui-standalone-preset.js", "text/javascript; charset=utf-8"),
];

/// What the page shows, in the place of the example that it comes with.
const SHOWN: &str = "window.onload = () => SwaggerUIBundle({ url: '../openapi.json', dom_id: '#swagger-ui', \
     presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset], layout: 'StandaloneLayout', validatorUrl: null });\n";

/// Scripts and forms of this address only; the page styles itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) async fn description() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION.as_str()).into_response()
}

pub(super) async fn front() -> Redirect {
    Redirect::permanent("docs/index.html")
}

pub(super) async fn file(Path(name): Path<String>) -> Result<Response, Problem> {
    if name == "swagger-initializer.js" {
        return Ok(([(header::CONTENT_TYPE, FILES[3].1)], SHOWN).into_response());
    }
    let file = FILES.iter().find(|(file, _)| *file == name);
    let (name, kind) = file.ok_or_else(Problem::nowhere)?;
    let text = vendored(name).ok_or_else(Problem::nowhere)?;
    let headers = [(header::CONTENT_TYPE, *kind), (header::CONTENT_SECURITY_POLICY, POLICY)];
    Ok((headers, text).into_response())
}

/// A file of the page, out of the archive that is part of this program.
fn vendored(name: &str) -> Option<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED)).ok()?;
    let ending = format!("/dist/{name}");
    let named = archive.file_names().flatten().find(|path| path.ends_with(&ending));
    let path = named?.into_owned();
    let mut text = Vec::new();
    archive.by_name(&path).ok()?.read_to_end(&mut text).ok()?;
    Some(text)
}
