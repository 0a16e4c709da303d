//! What a statement may ask for. The engine's memory limit bounds its sorts, sums and joins; neither what a single value takes,
//! nor how deep an expression is.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// Bytes of a statement.
const LONGEST: usize = 64 * 1024;
/// Words and signs that make an expression or a plan deeper: lists may be long, chains of operators may not.
const MOST_STEPS: usize = 1_000;
/// What `repeat`, `lpad` and `rpad` may make of a value, or how often.
const MOST_COPIES: i64 = 10_000;

/// Functions whose arrays are as long as a number says. As tables, `range` and `generate_series` come in small batches, and stay.
const FORGOTTEN: [&str; 4] = ["array_repeat", "array_resize", "generate_series", "range"];
const SIZED: [&str; 3] = ["lpad", "repeat", "rpad"];

/// Takes the functions from a session that take as much memory as they are told to.
pub(super) fn forget_functions(context: &SessionContext) {
    FORGOTTEN.iter().for_each(|name| context.deregister_udf(name));
}

/// Refuses a statement that is too long or too deep, before it is parsed.
pub(super) fn check_text(sql: &str) -> Result<()> {
    if sql.len() > LONGEST {
        return plan_err!("the statement has {} bytes; at most {LONGEST} are read", sql.len());
    }
    // What cannot be taken apart is told by the parser.
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize().unwrap_or_default();
    let steps = tokens.iter().filter(|token| is_step(token)).count();
    if steps > MOST_STEPS {
        return plan_err!("the statement has {steps} operators and keywords; at most {MOST_STEPS} are planned");
    }
    Ok(())
}

fn is_step(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.keyword != Keyword::NoKeyword,
        Token::Comma
        | Token::Period
        | Token::LParen
        | Token::RParen
        | Token::Whitespace(_)
        | Token::Number(..)
        | Token::SingleQuotedString(_) => false,
        _ => true,
    }
}

/// Refuses a plan with a value that is repeated or filled up by more than a number that the statement names.
pub(super) fn check_plan(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|step| {
        step.apply_expressions(|expression| {
            expression.apply(|part| {
                match part {
                    Expr::ScalarFunction(call) if SIZED.contains(&call.name()) => check_call(call)?,
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

fn check_call(call: &ScalarFunction) -> Result<()> {
    let copies = match call.args.get(1) {
        Some(Expr::Literal(value, _)) => match value.cast_to(&arrow::datatypes::DataType::Int64) {
            Ok(ScalarValue::Int64(copies)) => copies,
            _ => None,
        },
        _ => None,
    };
    match copies {
        Some(copies) if copies <= MOST_COPIES => Ok(()),
        _ => plan_err!("{}: its second argument is a number of at most {MOST_COPIES} here", call.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn planned(sql: &str) -> Result<()> {
        check_text(sql)?;
        let context = SessionContext::new();
        forget_functions(&context);
        check_plan(context.sql(sql).await?.logical_plan())
    }

    #[tokio::test]
    async fn statement_that_would_take_memory_or_depth_without_end_is_refused() {
        let sum = |terms: usize| format!("SELECT 1{}", "+1".repeat(terms));
        let unions = format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(400));
        let copies = "its second argument is a number of at most 10000 here";
        for (sql, said) in [
            (sum(1_000), "the statement has 1001 operators and keywords; at most 1000 are planned"),
            (unions, "the statement has 1201 operators and keywords; at most 1000 are planned"),
            (format!("SELECT '{}'", "x".repeat(LONGEST)), "the statement has 65545 bytes; at most 65536 are read"),
            ("SELECT array_repeat(1, 30000000000000)".to_owned(), "Invalid function 'array_repeat'"),
            ("SELECT list_resize([1], 30000000000000)".to_owned(), "Invalid function 'list_resize'"),
            ("SELECT range(0, 150000000)".to_owned(), "Invalid function 'range'"),
            ("SELECT repeat('x', 1000000000)".to_owned(), copies),
            ("SELECT 1 WHERE EXISTS (SELECT lpad('x', 10001))".to_owned(), copies),
            ("SELECT rpad('x', n) FROM (SELECT 1000000000 AS n)".to_owned(), copies),
        ] {
            let refused = planned(&sql).await.unwrap_err().strip_backtrace();
            assert!(refused.contains(said), "{}: {refused}", &sql[..40]);
        }
    }

    #[tokio::test]
    async fn statement_of_a_person_is_planned() {
        let accounts: Vec<String> = (0..3_000).map(|number| format!("'{number:012}'")).collect();
        for sql in [
            format!("SELECT 1 WHERE '000000000001' IN ({})", accounts.join(", ")),
            format!("SELECT 1{}", "+1".repeat(900)),
            "SELECT lpad('41', 12, '0'), repeat('-', 80), value FROM generate_series(1, 12)".to_owned(),
        ] {
            planned(&sql).await.unwrap_or_else(|error| panic!("{error}"));
        }
    }
}
