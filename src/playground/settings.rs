//! The option file of a server, and the accounts that it makes at its first start.
//!
//! Every server has the same options, so that they may swap roles: each writes a binlog in full row
//! format and protects its commits by semi-sync from its first moment on, and each starts read-only
//! with the event scheduler off. Opening the source is its agent's affair (I17).

use super::installation::{Installation, ServerFamily};
use super::layout::{AGENT_USER, Layout, Server, USER};

/// Same on both families.
const COMMON: &str = "\
bind-address=127.0.0.1
# relative to the data folder, because a socket's path is short
socket=server.sock
pid-file=server.pid
skip-name-resolve
log-bin=binlog
binlog_format=ROW
binlog_row_image=FULL
binlog_row_metadata=FULL
sync_binlog=1
innodb_flush_log_at_trx_commit=1
read_only=ON
event_scheduler=OFF
# small, so that several fit one machine
innodb_buffer_pool_size=64M
performance_schema=OFF
max_allowed_packet=64M
";

const MARIADB: &str = "\
innodb_log_file_size=64M
extra-max-connections=10
";

/// The timeouts are the largest that the families accept: never fall back to asynchronous.
const MARIADB_SEMI_SYNC: &str = "\
rpl_semi_sync_master_enabled=ON
rpl_semi_sync_master_wait_point=AFTER_SYNC
rpl_semi_sync_master_timeout=18446744073709551615
rpl_semi_sync_master_wait_no_slave=ON
";

const MYSQL: &str = "\
innodb_redo_log_capacity=64M
admin-address=127.0.0.1
gtid_mode=ON
enforce_gtid_consistency=ON
";

const MYSQL_SEMI_SYNC: &str = "\
plugin-load-add=semisync_source.so
rpl_semi_sync_source_enabled=ON
rpl_semi_sync_source_wait_point=AFTER_SYNC
rpl_semi_sync_source_timeout=4294967295
rpl_semi_sync_source_wait_no_replica=ON
";

/// Lines that a data folder is initialised with; the sizes must be those it runs with.
pub fn initial_options(installation: &Installation) -> String {
    let size = match installation.family {
        ServerFamily::Mariadb => "innodb_log_file_size=64M",
        ServerFamily::Mysql => "innodb_redo_log_capacity=64M",
    };
    format!("[mysqld]\n{}\n{size}\ninnodb_buffer_pool_size=64M\n", installation.needs.join("\n"))
}

/// The server's option file.
pub fn options(layout: &Layout, server: &Server, installation: &Installation) -> String {
    let added = layout.server_options.join("\n");
    let (family, semi_sync, fallback) = match layout.family {
        ServerFamily::Mariadb => (MARIADB, MARIADB_SEMI_SYNC, "extra-port"),
        ServerFamily::Mysql => (MYSQL, MYSQL_SEMI_SYNC, "admin-port"),
    };
    format!(
        "[mysqld]\n{needs}\ndatadir={data}\nserver-id={number}\nport={port}\n\
         {fallback}={fallback_port}\n{COMMON}{family}{semi_sync}{open}{added}\n",
        semi_sync = if layout.bare { "" } else { semi_sync },
        open = if layout.bare && server.number == 1 { "read_only=OFF\n" } else { "" },
        needs = installation.needs.join("\n"),
        data = layout.home(&server.name).display(),
        number = server.number,
        port = server.port,
        fallback_port = server.fallback_port,
    )
}

/// Statements of the first start, one a line. Kept out of the binlog: a commit there would wait for an
/// acknowledgement that nobody gives yet.
pub fn accounts(layout: &Layout) -> String {
    let mut text = String::from("SET SESSION sql_log_bin=0;\n");
    for (user, password) in [(USER, &layout.password), (AGENT_USER, &layout.agent_password)] {
        text += &format!("CREATE USER '{user}'@'%' IDENTIFIED BY '{password}';\n");
        text += &format!("GRANT ALL PRIVILEGES ON *.* TO '{user}'@'%' WITH GRANT OPTION;\n");
    }
    text
}
