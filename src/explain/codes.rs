//! The table of all codes. A code is never given another meaning, and never given out again.

use super::Code;

macro_rules! codes {
    ($($name:ident = $number:literal,)*) => {
        impl Code {
            $(
                #[doc = include_str!(concat!("pages/PLM", $number, ".md"))]
                pub const $name: Code = Code($number);
            )*
        }

        /// Every code, ascending, with its page.
        pub(super) const PAGES: &[(Code, &str)] =
            &[$((Code::$name, include_str!(concat!("pages/PLM", $number, ".md"))),)*];

        /// How the source calls them.
        #[cfg(test)]
        pub(super) const NAMES: &[(&str, Code)] = &[$((stringify!($name), Code::$name),)*];
    };
}

/// What the hundreds stand for.
pub(super) const RANGES: [(u16, &str); 9] = [
    (1, "configuration and command line"),
    (2, "the server and its protection"),
    (3, "the server's binlog"),
    (4, "the log, its members and the quorum"),
    (5, "applying on a replica"),
    (6, "timestamps"),
    (7, "the coordinator, and what asks it"),
    (8, "connections, HTTP and tokens"),
    (9, "verification, and defects"),
];

codes! {
    CONFIG_UNREADABLE = 101,
    CONFIG_SYNTAX = 102,
    CONFIG_NO_TABLE = 103,
    CONFIG_ADDRESS = 104,
    CONFIG_SECRET = 105,
    CONFIG_VALUE = 106,
    CONFIG_TIMESTAMP_COUNT = 107,
    CONFIG_TLS = 108,
    CONFIG_SOURCE = 109,
    CONFIG_QUORUM = 110,
    CONFIG_DISAGREES = 111,
    LOG_FILTER = 112,
    COORDINATOR_UNREACHABLE = 120,
    NOT_A_COORDINATOR = 121,
    WRONG_MEMBER = 122,
    CHANGE_NOT_COMMITTED = 123,
    RECORD_NOT_FOUND = 124,
    PLAYGROUND = 130,
    SYSTEM = 199,

    SERVER_UNREACHABLE = 201,
    SERVER_LOGIN = 202,
    SERVER_FULL = 203,
    SERVER_LOST = 204,
    SERVER_SILENT = 205,
    SERVER_REFUSES = 206,
    SERVER_PRIVILEGE = 207,
    SEMI_SYNC_UNAVAILABLE = 208,
    SETTING_NOT_TAKEN = 209,
    REPLICA_COMMITS_WAIT = 210,
    NOT_A_SOURCE = 211,
    SERVER_ANSWER = 212,
    SOURCE_WARNING = 213,
    SERVER_RESTARTED = 214,
    SERVER_TLS = 215,
    SERVER_AUTHENTICATION = 216,
    LOST_ITS_TAIL = 217,
    OTHER_SERVER = 218,
    UNPROTECTED_OFF = 220,
    UNPROTECTED_FALLEN_BACK = 221,
    UNPROTECTED_FOREIGN_ACK = 222,
    UNPROTECTED_NO_PLUGIN = 223,

    EVENT_UNSUPPORTED = 301,
    EVENT_MALFORMED = 302,
    EVENT_CHECKSUM = 303,
    BINLOG_GAP = 304,
    TRANSACTION_TOO_LARGE = 305,
    EVENT_TOO_LARGE = 306,
    BINLOG_PURGED = 307,
    BINLOG_POSITION = 308,
    SERVER_ID_TAKEN = 309,
    DUMP_REFUSED = 310,
    NOT_SEMI_SYNC = 311,
    START_IMPOSSIBLE = 312,
    SERVER_PROTOCOL = 313,

    QUORUM_LACKS = 401,
    EPOCH_WAITS = 402,
    DISK_FULL = 403,
    LOG_IO = 404,
    LOG_SYNC = 405,
    LOG_LOCKED = 406,
    LOG_FOLDER = 407,
    LOG_DAMAGED = 408,
    FRAME_REFUSED = 409,
    LOG_GONE = 410,
    PROMISE = 411,
    CUT_REFUSED = 412,
    FENCED = 413,
    LOG_CUT = 414,
    MEMBER_SILENT = 416,
    MEMBER_NAME = 417,
    MEMBER_MESSAGE = 418,
    CHOSEN_LOG_LOST = 419,
    LOG_NEW = 421,
    LOG_SHORTENED = 422,

    REPLICA_DIFFERS = 501,
    PACKET_TOO_SMALL = 502,
    STATEMENT_EVENT = 503,
    NOT_APPLICABLE = 504,
    TRANSACTION_MALFORMED = 505,
    FORMER_SOURCE = 506,
    OTHER_CLUSTER = 507,
    UNPLACED = 508,
    REPLICA_TOO_FAR_BEHIND = 509,
    APPLIER_BUSY = 510,
    AMBIGUOUS = 511,
    STRAY_INTENT = 512,
    CHECKPOINT_LOST = 513,
    CHECKPOINT_UNREADABLE = 514,
    XA_UNKNOWN = 515,
    EXPECTED_ERROR = 516,
    NO_SUCH_PLACE = 517,

    NO_TIMESTAMP = 601,
    TIME_BACKWARDS = 602,
    TIMESTAMP_PROTOCOL = 603,
    TIMESTAMP_NOT_COUNTED = 604,
    TIMESTAMP_DISK = 605,
    TIMESTAMP_SYNC = 606,
    TIMESTAMP_STATE = 607,
    TIMESTAMP_OTHER_SERVER = 608,
    TIMESTAMP_LOCKED = 609,
    TIMESTAMP_CLIENT = 610,

    NO_COORDINATOR = 701,
    NOT_A_MEMBER = 702,
    MEMBER_OF_OTHER_CLUSTER = 703,
    NOT_THE_SOURCE = 704,
    BOOTSTRAP = 705,
    STORE_OLD = 706,
    NO_EPOCH = 707,
    EPOCH_INCOMPLETE = 708,
    CHANGE_UNDER_WAY = 709,
    MEMBER_AWAY = 710,
    CONFIG_DIFFERS = 711,
    STORE = 712,
    STORE_IN_USE = 713,
    STORE_UNREADABLE = 714,
    STORE_CONFLICT = 715,
    COORDINATOR_ANSWER = 716,
    CHANGE_REFUSED = 717,
    NO_REPLICA = 718,
    REPLICA_LATE = 719,
    NO_TOKEN = 720,
    STOPPING = 721,

    CANNOT_LISTEN = 801,
    TLS_FILES = 802,
    PEER_UNREACHABLE = 803,
    TLS_HANDSHAKE = 805,
    HANDSHAKE_REFUSED = 806,
    NOT_OUR_PROTOCOL = 807,
    PEER_VERSION = 808,
    PEER_ROLE = 809,
    CONNECTION_LOST = 810,
    ACCEPT_FAILED = 811,
    TOKEN = 820,
    HTTP_REQUEST = 821,

    DEFECT = 901,
    NO_THREAD = 902,
}
