//! Pictures of a few lines in a frame with scales, as SVG. Must not know what they show.

use std::fmt::Write;

/// Of the picture, and of the frame's margins, in pixels.
const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
/// Steps of a scale, about.
const STEPS: f64 = 6.0;
/// Told apart by everybody (Okabe and Ito).
const COLOURS: [&str; 4] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"];

/// Points in the order of their x.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it is called in the legend.
    pub name: String,
    /// x and y.
    pub points: Vec<(f64, f64)>,
}

/// Lines over one pair of scales, both from zero.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Above the frame.
    pub title: String,
    /// Along the bottom.
    pub x: String,
    /// Along the side.
    pub y: String,
    /// At most four: no more can be told apart.
    pub lines: Vec<Line>,
}

impl Picture {
    /// The text of the SVG.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (step_x, max_x) = scale(points().map(|point| point.0).fold(0.0, f64::max));
        let (step_y, max_y) = scale(points().map(|point| point.1).fold(0.0, f64::max));
        let at_x = |x: f64| LEFT + x / max_x * (WIDTH - LEFT - RIGHT);
        let at_y = |y: f64| HEIGHT - BOTTOM - y / max_y * (HEIGHT - TOP - BOTTOM);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{}, {} by {}</text>\n",
            self.title, self.y, self.x
        );
        let mut put = |line: String| {
            out.push_str(&line);
            out.push('\n');
        };
        for step in 0..=(max_x / step_x).round() as u32 {
            let value = f64::from(step) * step_x;
            let (x, y) = (at_x(value), HEIGHT - BOTTOM);
            put(format!("<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value}</text>", y + 18.0));
        }
        for step in 0..=(max_y / step_y).round() as u32 {
            let value = f64::from(step) * step_y;
            let (y, end) = (at_y(value), WIDTH - RIGHT);
            put(format!(
                "<path d=\"M{LEFT} {y:.1}H{end}\" stroke=\"#ddd\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
                LEFT - 8.0,
                y + 4.0
            ));
        }
        put(format!("<text x=\"{:.1}\" y=\"{:.1}\">{}</text>", LEFT, HEIGHT - 12.0, self.x));
        for (number, (line, colour)) in self.lines.iter().zip(COLOURS).enumerate() {
            let mut path = String::new();
            for (x, y) in &line.points {
                let word = if path.is_empty() { 'M' } else { 'L' };
                let _ = write!(path, "{word}{:.1} {:.1}", at_x(*x), at_y(*y));
            }
            put(format!("<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\"/>"));
            let x = LEFT + 150.0 + 210.0 * number as f64;
            let y = HEIGHT - 12.0;
            put(format!(
                "<path d=\"M{x} {:.1}h24\" stroke=\"{colour}\" stroke-width=\"3\"/>\
                 <text x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
                y - 4.0,
                x + 30.0,
                line.name
            ));
        }
        out.push_str("</svg>\n");
        out
    }
}

/// A round step, and the least multiple of it that is not below a value.
fn scale(most: f64) -> (f64, f64) {
    let rough = most.max(f64::MIN_POSITIVE) / STEPS;
    let power = 10_f64.powf(rough.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let step = power * factors.into_iter().find(|factor| factor * power >= rough).unwrap_or(10.0);
    (step, step * (most / step).ceil().max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_round_and_hold_everything() {
        for (most, expected) in
            [(60.0, (10.0, 60.0)), (61.0, (20.0, 80.0)), (0.9, (0.2, 1.0)), (1.0, (0.2, 1.0))]
        {
            let (step, end) = scale(most);
            assert!(
                (step - expected.0).abs() < 1e-9 && (end - expected.1).abs() < 1e-9,
                "{most}: {step}, {end}"
            );
        }
        assert!(scale(0.0).1 > 0.0);
    }

    #[test]
    fn a_line_goes_from_corner_to_corner() {
        let line = Line { name: "a".into(), points: vec![(0.0, 0.0), (10.0, 100.0)] };
        let svg = Picture { title: "t".into(), x: "x".into(), y: "y".into(), lines: vec![line] }.to_svg();
        assert!(svg.contains("M70.0 330.0L800.0 40.0"), "{svg}");
    }
}
