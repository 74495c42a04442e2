//! Names that try to be markup stay names.

use ontogeny_report::{png_from_svg, render};

use super::sample;

const HOSTILE: [&str; 7] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'></title></svg></style><script>alert(1)</script>",
    "a\u{0}b\u{1}c\u{fffe}d\u{1b}[31m",
    "]]><!-- -- --> <![CDATA[",
    "javascript:alert(1)//\\u003cscript\\u003e",
    "\u{202e}evil &lt;script&gt; &#60;b&#62; %3Cscript%3E",
];

/// Findings with one block of each kind.
fn findings(values: &[f64], text: &str) -> ontogeny_core::Findings {
    let mut findings = sample::findings(values, text);
    findings.sections.truncate(1);
    findings
}

#[test]
fn hostile_names_stay_text() {
    for text in HOSTILE {
        let rendered = render(&findings(&[1.0, 2.0, 3.0], text)).unwrap();
        let html = &rendered.html;
        assert_eq!(html.matches("<script").count(), 1, "{text}");
        assert_eq!(html.matches("</script").count(), 1, "{text}");
        assert_eq!(html.matches("</style").count(), 1, "{text}");
        assert!(
            !html.contains("<img") && !html.contains("<!--") && !html.contains("<![CDATA"),
            "{text}"
        );
        assert!(!html.contains("href=\"javascript"), "{text}");
        for figure in &rendered.figures {
            assert!(!figure.svg.contains("<script") && !figure.svg.contains("<img"), "{text}");
            assert!(
                figure.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'),
                "{}",
                figure.name
            );
        }
    }
}

#[test]
fn quotes_never_end_an_attribute() {
    let rendered =
        render(&findings(&[1.0, 2.0], "x\" onload=\"alert(1)' onclick='alert(2)")).unwrap();
    assert!(!rendered.html.contains("\" onload=\"") && !rendered.html.contains("' onclick='"));
}

#[test]
fn endless_names_are_cut_and_kept_as_tooltips() {
    let text = "a name without end ".repeat(40);
    let rendered = render(&findings(&[1.0, 2.0], &text)).unwrap();
    for figure in &rendered.figures {
        assert!(figure.svg.contains("…</text>"), "{}", figure.name);
        png_from_svg(&figure.svg, 0.5).unwrap();
    }
}
