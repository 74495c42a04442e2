//! Pixels from SVG, with the embedded font and nothing of the machine's own.

use std::sync::{Arc, OnceLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, fontdb};

use crate::error::ReportError;
use crate::font;

/// Pixels beyond which a picture is refused: 256 million, 1 GiB of memory.
const MAX_PIXELS: f64 = 268_435_456.0;

/// Draws an SVG made by this crate as a PNG, `scale` pixels per unit of the figure.
///
/// # Errors
/// [`ReportError::Svg`] if the markup cannot be read, [`ReportError::Size`] if the picture would be empty or
/// beyond 256 million pixels, [`ReportError::Png`] if it cannot be encoded.
pub fn png_from_svg(svg: &str, scale: f32) -> Result<Vec<u8>, ReportError> {
    let options = usvg::Options {
        font_family: "Inter".to_owned(),
        fontdb: fonts(),
        dpi: 96.0,
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_str(svg, &options).map_err(ReportError::Svg)?;
    let size = tree.size();
    let (width, height) = ((size.width() * scale).ceil(), (size.height() * scale).ceil());
    let is_drawable =
        width >= 1.0 && height >= 1.0 && f64::from(width) * f64::from(height) <= MAX_PIXELS;
    let (width, height) = (width.max(0.0) as u32, height.max(0.0) as u32);
    let pixmap = if is_drawable { Pixmap::new(width, height) } else { None };
    let mut pixmap = pixmap.ok_or(ReportError::Size { width, height })?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    let bytes = pixmap.data().len();
    pixmap.encode_png().map_err(|source| ReportError::Png { bytes, source: Box::new(source) })
}

fn fonts() -> Arc<fontdb::Database> {
    static FONTS: OnceLock<Arc<fontdb::Database>> = OnceLock::new();
    let fonts = FONTS.get_or_init(|| {
        let mut database = fontdb::Database::new();
        database.load_font_data(font::REGULAR.to_vec());
        database.load_font_data(font::SEMI_BOLD.to_vec());
        database.set_sans_serif_family("Inter");
        database.set_serif_family("Inter");
        database.set_monospace_family("Inter");
        Arc::new(database)
    });
    Arc::clone(fonts)
}
