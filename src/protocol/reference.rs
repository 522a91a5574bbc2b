//! References to URIs, such as the Location of a redirect (RFC 3986, section 5).
//!
//! Nothing is normalized but the dots of a path, so that a host means the same before and after.
//! Whether the result is a URI to connect to is for `uri` to judge.

/// Resolves a reference against a URI.
pub fn join(uri: &str, reference: &str) -> String {
    let (scheme, rest) = uri.split_once("://").unwrap_or_default();
    let (authority, resource) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let origin = format!("{scheme}://{authority}");
    if has_scheme(reference) {
        return reference.to_owned();
    }
    if reference.starts_with("//") {
        return format!("{scheme}:{reference}");
    }
    let (base, _) = path_and_rest(resource);
    match path_and_rest(reference) {
        ("", "") => uri.to_owned(),
        ("", rest) => format!("{origin}{base}{rest}"),
        (path, rest) if path.starts_with('/') => format!("{origin}{}{rest}", without_dots(path)),
        (path, rest) => {
            let folder = base.rfind('/').map_or("/", |last| &base[..=last]);
            format!("{origin}{}{rest}", without_dots(&format!("{folder}{path}")))
        }
    }
}

/// Whether a reference is a URI by itself (section 3.1).
fn has_scheme(reference: &str) -> bool {
    reference.split_once(':').is_some_and(|(scheme, _)| {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(is_allowed)
    })
}

/// Parts a path from the query and the fragment behind it.
fn path_and_rest(text: &str) -> (&str, &str) {
    text.split_at(text.find(['?', '#']).unwrap_or(text.len()))
}

/// Removes the dots of a path that begins with a slash (section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            ".." => {
                kept.pop();
            }
            "." => {}
            segment => kept.push(segment),
        }
    }
    // What ends in dots is a folder.
    let slash = if path.ends_with("/.") || path.ends_with("/..") {
        "/"
    } else {
        ""
    };
    match &kept[..] {
        [] => "/".to_owned(),
        kept => format!("/{}{slash}", kept.join("/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved_as_the_rfc_shows() {
        // Sections 5.4.1 and 5.4.2.
        for (reference, expected) in [
            ("g", "ws://a/b/c/g"),
            ("./g", "ws://a/b/c/g"),
            ("g/", "ws://a/b/c/g/"),
            ("/g", "ws://a/g"),
            ("//g", "ws://g"),
            ("?y", "ws://a/b/c/d;p?y"),
            ("g?y", "ws://a/b/c/g?y"),
            ("#s", "ws://a/b/c/d;p#s"),
            (";x", "ws://a/b/c/;x"),
            ("", "ws://a/b/c/d;p?q"),
            (".", "ws://a/b/c/"),
            ("./", "ws://a/b/c/"),
            ("..", "ws://a/b/"),
            ("../", "ws://a/b/"),
            ("../g", "ws://a/b/g"),
            ("../..", "ws://a/"),
            ("../../g", "ws://a/g"),
            ("../../../../g", "ws://a/g"),
            ("/./g", "ws://a/g"),
            ("/../g", "ws://a/g"),
            ("g.", "ws://a/b/c/g."),
            ("..g", "ws://a/b/c/..g"),
            ("./g/.", "ws://a/b/c/g/"),
            ("g;x=1/../y", "ws://a/b/c/y"),
            ("g?y/../x", "ws://a/b/c/g?y/../x"),
            ("wss:h", "wss:h"),
        ] {
            assert_eq!(join("ws://a/b/c/d;p?q", reference), expected, "{reference}");
        }
    }

    #[test]
    fn hosts_and_bytes_stay_as_they_are() {
        for (uri, reference, expected) in [
            ("ws://0x7f.1:1", "x", "ws://0x7f.1:1/x"),
            ("ws://u:p@a?q", "?z", "ws://u:p@a?z"),
            ("ws://a/%41/", "%2e%2E/\u{e4}", "ws://a/%41/%2e%2E/\u{e4}"),
            ("wss://a/", "ws://0x7f.1:1/", "ws://0x7f.1:1/"),
        ] {
            assert_eq!(join(uri, reference), expected);
        }
    }
}
