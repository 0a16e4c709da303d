//! Pictures: options for Apache ECharts as data; the script draws them. The table that a picture is of stands below it.

use credit_ledger::Money;
use maud::{Markup, PreEscaped, html};
use serde_json::{Value, json};

/// A picture.
pub(crate) struct Chart {
    title: String,
    option: Value,
}

/// An amount as a picture has it: rounded, for the eye only.
pub(crate) fn number(amount: Money) -> Value {
    let text = application::money_text::cents(amount).replace(',', "");
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

impl Chart {
    /// A picture of these options; what all have in common is added.
    pub(crate) fn new(title: impl Into<String>, mut option: Value) -> Self {
        let title = title.into();
        let common = json!({
            "animation": false,
            "aria": { "enabled": true, "label": { "description": title } },
            // Rich text is drawn; HTML would need styles that the policy of the page forbids.
            "tooltip": { "trigger": "axis", "renderMode": "richText", "axisPointer": { "type": "shadow" } },
            "grid": { "left": 8, "right": 16, "top": 36, "bottom": 8, "containLabel": true },
        });
        if let (Value::Object(option), Value::Object(common)) = (&mut option, common) {
            for (name, value) in common {
                option.entry(name).or_insert(value);
            }
        }
        Self { title, option }
    }

    /// Bars of amounts over months, one on the other: `series` are names and their amounts by month.
    pub(crate) fn stacked(title: impl Into<String>, months: &[String], series: &[(String, Vec<Money>)]) -> Self {
        let series: Vec<Value> = series
            .iter()
            .map(|(name, amounts)| {
                let data: Vec<Value> = amounts.iter().map(|amount| number(*amount)).collect();
                json!({ "type": "bar", "stack": "all", "name": name, "data": data })
            })
            .collect();
        let option = json!({
            "legend": { "type": "scroll", "top": 0 },
            "xAxis": { "type": "category", "data": months },
            "yAxis": { "type": "value" },
            "series": series,
        });
        Self::new(title, option)
    }

    /// Steps from one sum to another: each bar begins where the one before ended. Sums stand on the ground.
    pub(crate) fn waterfall(title: impl Into<String>, steps: &[(&str, Money, bool)]) -> Self {
        let (mut base, mut up, mut down, mut sums) = (vec![], vec![], vec![], vec![]);
        let mut level = Money::ZERO;
        for (_, amount, is_sum) in steps {
            let before = level;
            level = if *is_sum { *amount } else { level.checked_add(*amount).unwrap_or(level) };
            let low = if *is_sum { Money::ZERO } else { before.min(level) };
            let height = if amount.is_negative() { amount.negated() } else { *amount };
            base.push(number(low));
            // Not a gap: where bars of both signs are stacked, a gap takes those after it away.
            let (is_down, none) = (amount.is_negative(), number(Money::ZERO));
            sums.push(if *is_sum { number(*amount) } else { none.clone() });
            up.push(if *is_sum || is_down { none.clone() } else { number(height) });
            down.push(if *is_sum || !is_down { none } else { number(height) });
        }
        let names: Vec<&str> = steps.iter().map(|(name, _, _)| *name).collect();
        let bar = |name: &str, data: Vec<Value>| {
            json!({
                "type": "bar", "stack": "all", "stackStrategy": "all", "name": name, "data": data, "barMaxWidth": 72,
            })
        };
        let invisible = json!({
            "type": "bar", "stack": "all", "stackStrategy": "all", "name": "", "silent": true, "data": base,
            "itemStyle": { "color": "transparent" }, "tooltip": { "show": false },
        });
        let option = json!({
            "xAxis": { "type": "category", "data": names, "axisLabel": { "interval": 0, "hideOverlap": false } },
            "yAxis": { "type": "value" },
            // Of the bar under the pointer alone: the others there have no height.
            "tooltip": { "trigger": "item", "renderMode": "richText" },
            "series": [invisible, bar("sum", sums), bar("adds", up), bar("takes off", down)],
        });
        Self::new(title, option)
    }

    /// The place where the script draws, and what it draws.
    pub(crate) fn html(&self) -> Markup {
        // In a script element nothing but `</` and `<!` could end it.
        let option = self.option.to_string().replace('<', "\\u003c");
        html! {
            figure.chart {
                figcaption { (self.title) }
                div.plot role="img" aria-label=(self.title) {}
                script type="application/json" { (PreEscaped(option)) }
            }
        }
    }

    /// As data, for tests.
    #[cfg(test)]
    pub(crate) const fn option(&self) -> &Value {
        &self.option
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    #[test]
    fn waterfall_goes_down_from_gross_to_net() {
        let steps =
            [("Gross", money("100"), true), ("Credits", money("-30.005"), false), ("Net", money("69.995"), true)];
        let chart = Chart::waterfall("Gross to net", &steps);
        let data = |place: usize| chart.option()["series"][place]["data"].to_string();
        assert_eq!(data(0), "[0.0,70.0,0.0]");
        assert_eq!(data(1), "[100.0,0.0,70.0]");
        assert_eq!(data(3), "[0.0,30.01,0.0]");
    }

    #[test]
    fn name_cannot_end_the_script_that_it_stands_in() {
        let chart = Chart::stacked("x", &[], &[("</script><script>alert(1)</script>".to_owned(), vec![])]);
        let html = chart.html().into_string();
        assert_eq!(html.matches("</script>").count(), 1, "{html}");
    }

    #[test]
    fn waterfall_passes_below_zero_without_losing_the_size_of_its_steps() {
        let steps = [("Gross", money("10"), true), ("Credits", money("-25"), false), ("Net", money("-15"), true)];
        let chart = Chart::waterfall("Gross to net", &steps);
        let data = |place: usize| chart.option()["series"][place]["data"].to_string();
        assert_eq!(data(0), "[0.0,-15.0,0.0]", "the step begins where it ends");
        assert_eq!(data(1), "[10.0,0.0,-15.0]");
        assert_eq!(data(3), "[0.0,25.0,0.0]");
    }

    #[test]
    fn bars_have_plain_numbers_by_month_whatever_their_size() {
        let months = ["2026-09".to_owned(), "2026-10".to_owned()];
        let series = [("Retail".to_owned(), vec![money("1234567.895"), money("-0.004")])];
        let chart = Chart::stacked("Net cost", &months, &series);
        assert_eq!(chart.option()["series"][0]["data"].to_string(), "[1234567.9,0.0]");
        assert_eq!(chart.option()["xAxis"]["data"].to_string(), r#"["2026-09","2026-10"]"#);
        assert_eq!(chart.option()["tooltip"]["renderMode"], "richText", "HTML would need what the policy forbids");
        assert_eq!(chart.option()["aria"]["label"]["description"], "Net cost");
    }
}
