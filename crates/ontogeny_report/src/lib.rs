//! Draws findings: figures (SVG, PNG) and the self-contained HTML report.
