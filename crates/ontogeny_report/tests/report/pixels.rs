//! The PNG files show what the SVG files say, text included.

use std::collections::BTreeSet;

use ontogeny_report::{ReportError, png_from_svg, render};
use resvg::tiny_skia::Pixmap;

use super::sample::findings;

fn colours(pixmap: &Pixmap, (x0, y0): (u32, u32), (x1, y1): (u32, u32)) -> BTreeSet<[u8; 3]> {
    let places = (y0..y1.min(pixmap.height()))
        .flat_map(|y| (x0..x1.min(pixmap.width())).map(move |x| (x, y)));
    places.filter_map(|(x, y)| pixmap.pixel(x, y)).map(|p| [p.red(), p.green(), p.blue()]).collect()
}

#[test]
fn every_png_decodes_and_is_not_blank() {
    for figure in render(&findings(&[1.0, 2.0, 7.0, 30.0], "loss")).unwrap().figures {
        let pixmap = Pixmap::decode_png(&figure.png).unwrap();
        assert_eq!(pixmap.width(), 1720);
        let all = colours(&pixmap, (0, 0), (1720, pixmap.height()));
        assert!(all.len() > 12, "{} has {} colours", figure.name, all.len());
        assert!(all.contains(&[255, 255, 255]), "{} has no paper", figure.name);
    }
}

#[test]
fn text_is_drawn_without_any_font_on_the_machine() {
    let markup = |text: &str| {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"200\" height=\"30\" font-family=\"Inter, sans-serif\">\
             <rect width=\"200\" height=\"30\" fill=\"#fff\"/>\
             <text x=\"4\" y=\"20\" font-size=\"14\" font-weight=\"600\" fill=\"#000\">{text}</text></svg>"
        )
    };
    for text in ["step", "10⁻⁴ → −0.5 × λ", "größer als 90 %"] {
        let pixmap = Pixmap::decode_png(&png_from_svg(&markup(text), 1.0).unwrap()).unwrap();
        let dark = pixmap.pixels().iter().filter(|p| p.red() < 100).count();
        assert!(dark > 40, "{text}: {dark} dark pixels");
    }
    let blank = Pixmap::decode_png(&png_from_svg(&markup(""), 1.0).unwrap()).unwrap();
    assert_eq!(colours(&blank, (0, 0), (200, 30)).len(), 1);
}

#[test]
fn a_picture_beyond_memory_is_refused() {
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"100000\" height=\"100000\"/>";
    assert!(matches!(png_from_svg(svg, 10.0), Err(ReportError::Size { .. })));
    assert!(matches!(png_from_svg("<svg", 1.0), Err(ReportError::Svg(_))));
}
