//! The contract of the store on PostgreSQL.

use crate::contract::contract;
use crate::support::hall::Hall;

contract!(Hall::on_postgres);
