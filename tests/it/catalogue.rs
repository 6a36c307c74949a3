//! The schema against the contract: every function with its exact signature, and every
//! statement of the SDK against the schema.

use absurd_test::Database;
use sqlx::{Executor as _, Row as _};

use crate::support::TestResult;

/// Written from the contract by hand, in the words of PostgreSQL's catalogue.
const CONTRACT: &str = include_str!("catalogue.txt");

#[tokio::test]
async fn every_function_of_the_contract_has_its_exact_signature() -> TestResult {
    let database = Database::start().await?;
    let sql = "select p.proname || '(' || pg_get_function_arguments(p.oid) || ') -> '
                      || pg_get_function_result(p.oid) || ' ' || p.provolatile::text
                 from pg_proc p where p.pronamespace = 'absurd'::regnamespace";
    let rows = database.client().pool().fetch_all(sql).await?;
    let ours: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let missing: Vec<_> = CONTRACT
        .lines()
        .filter(|line| !line.is_empty() && !ours.iter().any(|function| function == line))
        .collect();
    assert!(
        missing.is_empty(),
        "not as in the contract:\n{}",
        missing.join("\n")
    );
    Ok(())
}

#[tokio::test]
async fn no_function_of_the_contract_is_overloaded() -> TestResult {
    let database = Database::start().await?;
    let sql = "select proname::text from pg_proc where pronamespace = 'absurd'::regnamespace
                group by proname having count(*) > 1 order by 1";
    let rows = database.client().pool().fetch_all(sql).await?;
    let overloaded: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(overloaded, ["create_queue"], "the contract's own two forms");
    Ok(())
}

#[tokio::test]
async fn every_statement_of_the_sdk_fits_the_schema() -> TestResult {
    let database = Database::start().await?;
    for (name, sql) in absurd_sdk::STATEMENTS {
        // `{queue}` stands for the queue's own function.
        let sql = sqlx::AssertSqlSafe(sql.replace("{queue}", "default"));
        let statement = sqlx::SqlSafeStr::into_sql_str(sql);
        let prepared = database.client().pool().prepare(statement).await;
        assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
    }
    Ok(())
}
