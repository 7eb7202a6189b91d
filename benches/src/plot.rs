//! Figures as lines in an SVG, both axes logarithmic.

use std::fmt::Write as _;

/// From left to right; all above zero.
pub type Points = Vec<(f64, f64)>;

/// One line.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its name.
    pub name: &'static str,
    /// Its points.
    pub points: Points,
}

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 300.0;
const MARGIN: f64 = 50.0;
const COLOURS: [&str; 7] = ["#c0392b", "#2471a3", "#e67e22", "#7f8c8d", "#8e44ad", "#16a085", "#2c3e50"];

/// Panels side by side, each with its title.
pub fn svg(x: &str, panels: &[(&str, Vec<Line>)]) -> String {
    let width = panels.len() as f64 * (WIDTH + MARGIN) + 140.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        HEIGHT + 2.0 * MARGIN
    );
    for (number, (title, lines)) in panels.iter().enumerate() {
        let left = MARGIN + number as f64 * (WIDTH + MARGIN);
        panel(&mut svg, left, x, title, lines, number + 1 == panels.len());
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, left: f64, x: &str, title: &str, lines: &[Line], named: bool) {
    let points = || lines.iter().flat_map(|line| &line.points);
    let range = |of: fn(&(f64, f64)) -> f64| {
        points().map(of).fold((f64::INFINITY, 1e-9), |(low, high), value| (value.min(low), value.max(high)))
    };
    let ((x_low, x_high), (y_low, y_high)) = (range(|point| point.0), range(|point| point.1));
    let at = |value: f64, low: f64, high: f64| (value / low).ln() / (high / low).ln().max(1e-9);
    let place = |point: &(f64, f64)| {
        (left + WIDTH * at(point.0, x_low, x_high), MARGIN + HEIGHT * (1.0 - at(point.1, y_low, y_high)))
    };
    let bottom = MARGIN + HEIGHT;
    // Writing to a String does not fail.
    let _ = writeln!(
        svg,
        "<text x=\"{left}\" y=\"{}\" font-weight=\"bold\">{title}</text>\n\
         <path d=\"M{left} {MARGIN} V{bottom} H{}\" fill=\"none\" stroke=\"black\"/>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{x}</text>",
        MARGIN - 12.0,
        left + WIDTH,
        left + WIDTH / 2.0,
        bottom + 32.0
    );
    let mut ticks: Vec<f64> = points().map(|point| point.0).collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    for tick in ticks {
        let (at, _) = place(&(tick, y_low));
        let _ = writeln!(svg, "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{tick}</text>", bottom + 16.0);
    }
    let mut tick = 10f64.powf(y_low.log10().floor());
    while tick <= y_high {
        if tick >= y_low {
            let (_, at) = place(&(x_low, tick));
            let _ = writeln!(
                svg,
                "<path d=\"M{left} {at:.1} H{}\" stroke=\"#ddd\"/>\n<text x=\"{}\" y=\"{at:.1}\" text-anchor=\"end\">{tick}</text>",
                left + WIDTH,
                left - 4.0
            );
        }
        tick *= 10.0;
    }
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let path: Vec<String> = line.points.iter().map(place).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
        if let (true, Some(last)) = (named, line.points.last()) {
            let (x, y) = place(last);
            let _ =
                writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>", x + 6.0, y + 4.0, line.name);
        }
    }
}
