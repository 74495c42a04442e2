//! Structure, self-containment and determinism.

use ontogeny_report::render;

use super::sample::findings;

/// The elements that carry structure, in order.
fn skeleton(html: &str) -> String {
    let body = html.split("<body>").nth(1).unwrap();
    let kept = [
        "header",
        "h1",
        "ul",
        "dl",
        "nav",
        "section",
        "h2",
        "figure",
        "figcaption",
        "table",
        "details",
        "pre",
        "button",
    ];
    let mut lines: Vec<String> = Vec::new();
    for tag in body.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        let name = tag.split(' ').next().unwrap();
        if kept.contains(&name) {
            let id = tag
                .split("id=\"")
                .nth(1)
                .map_or(String::new(), |rest| format!(" #{}", rest.split('"').next().unwrap()));
            lines.push(format!("{name}{id}"));
        }
    }
    lines.join("\n")
}

#[test]
fn the_page_has_its_parts_in_order() {
    let mut small = findings(&[1.0, 2.0], "run");
    small.sections.truncate(1);
    small.sections[0].blocks.retain(|block| !matches!(block, ontogeny_core::Block::Figure(f) if !matches!(f.body, ontogeny_core::FigureBody::Effects { .. })));
    insta::assert_snapshot!(skeleton(&render(&small).unwrap().html), @r"
    header
    h1
    ul
    dl
    section #s1
    h2
    figure #f-run
    figcaption
    table
    pre
    details
    pre
    figure #f-lineage
    figcaption
    section
    h2
    pre
    button
    ");
}

#[test]
fn same_findings_same_bytes() {
    let findings = findings(&[0.5, f64::NAN, 2.0, 40.0], "run");
    let first = render(&findings).unwrap();
    assert_eq!(first, render(&findings.clone()).unwrap());
}

#[test]
fn a_small_figure_looks_as_it_did() {
    let figure = &super::sample::figures(&[1.0, 4.0, 2.0], "loss", false)[0];
    insta::assert_snapshot!(ontogeny_report::figure_svg(figure));
}

#[test]
fn nothing_is_fetched() {
    let html = render(&findings(&[1.0, 2.0, 3.0], "run")).unwrap().html;
    let rest = html.replace("xmlns=\"http://www.w3.org/2000/svg\"", "").replace("url(#", "");
    for reference in
        ["http:", "https:", "src=", "@import", "url(", "<link", "<iframe", "srcset", "xlink"]
    {
        assert!(!rest.contains(reference), "the page refers to {reference}");
    }
}

#[test]
fn figures_have_names_of_their_own() {
    let rendered = render(&findings(&[1.0], "../Run 1")).unwrap();
    let names: Vec<&str> = rendered.figures.iter().map(|figure| figure.name.as_str()).collect();
    assert_eq!(names[..4], ["Run-1", "Run-1-2", "Run-1-3", "Run-1-4"]);
    assert_eq!((names[6], names[13]), ("lineage", "lineage-2"));
    let mut ids: Vec<&str> =
        rendered.html.split("id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let n = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), n, "an id is used twice");
}

#[test]
fn empty_findings_make_a_page() {
    let rendered = render(&ontogeny_core::Findings::default()).unwrap();
    assert!(rendered.html.starts_with("<!DOCTYPE html>") && rendered.figures.is_empty());
}

#[test]
fn every_figure_says_in_words_what_it_shows() {
    for figure in render(&findings(&[1.0, 2.0], "run")).unwrap().figures {
        assert!(figure.svg.contains("<title>") && figure.svg.contains("<desc>"), "{}", figure.name);
        assert!(!figure.svg.contains("<desc></desc>"), "{}", figure.name);
    }
}
