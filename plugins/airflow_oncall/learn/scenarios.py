"""What the starter corpus is rendered from: per scenario a category and messages as the engines word them."""

from __future__ import annotations

from typing import NamedTuple

from airflow_oncall.incident import NO_INCIDENT

FRAMES = (
    "{message}",
    "[2031-02-03, 04:05:06 UTC] {{{{taskinstance.py:100}}}} ERROR - Task failed with exception\n{message}",
    'Traceback (most recent call last):\n  File "/srv/jobs/load.py", line 7, in run\n{message}',
    "{message}\n[2031-02-03, 04:05:06 UTC] {{{{local_task_job_runner.py:200}}}} INFO - Task exited with return code 1",
    "31/02/03 04:05:06 ERROR Executor: Exception in task 0.0 in stage 1.0 (TID 1)\n{message}",
)
"""Surroundings of a failure's message."""
HEALTHY_FRAMES = (
    "[2031-02-03, 04:05:06 UTC] {{{{load.py:100}}}} INFO - {message}",
    "31/02/03 04:05:06 INFO DAGScheduler: {message}",
    "2031-02-03 04:05:06.789 UTC [77] LOG:  {message}",
    "[2031-02-03, 04:05:06 UTC] {{{{load.py:100}}}} WARNING - {message}",
)
"""Surroundings of a line that is no failure."""


class Scenario(NamedTuple):
    """One kind of fault (or of health), with several wordings."""

    name: str
    category: str
    transient: bool | None
    messages: tuple[str, ...]


def _scenarios(category: str, transient: bool | None, **messages: tuple[str, ...]) -> tuple[Scenario, ...]:
    return tuple(Scenario(name, category, transient, wordings) for name, wordings in messages.items())


SCENARIOS: tuple[Scenario, ...] = (
    *_scenarios(
        "database_connectivity",
        True,
        pg_refused=(
            'psycopg.OperationalError: connection failed: connection to server at "10.1.1.9", port 5432 failed: Connection refused',
            "org.postgresql.util.PSQLException: Connection to wh:5432 refused. Check that the hostname and port are correct",
            "pymysql.err.OperationalError: (2003, \"Can't connect to MySQL server on 'wh'\")",
        ),
        pg_full=(
            "FATAL: sorry, too many clients already",
            'FATAL: too many connections for database "shop"',
            "pymysql.err.OperationalError: (1040, 'Too many connections')",
        ),
        pg_start=(
            "FATAL: the database system is starting up",
            "FATAL: the database system is in recovery mode",
            "FATAL: the database system is shutting down",
        ),
        gone=(
            "server closed the connection unexpectedly while a query was running",
            "MySQLdb.OperationalError: (2006, 'MySQL server has gone away')",
            "terminating connection due to idle-session timeout",
            "com.mysql.cj.jdbc.exceptions.CommunicationsException: Communications link failure",
        ),
        pool=(
            "sqlalchemy.exc.TimeoutError: QueuePool limit of size 3 overflow 2 reached",
            "psycopg_pool.PoolTimeout: couldn't get a connection after 10.00 sec",
        ),
        oracle=(
            "oracledb.exceptions.OperationalError: DPY-6005: cannot connect to database",
            "ORA-12541: TNS:no listener",
            "ORA-03113: end-of-file on communication channel",
        ),
        mongo=(
            "pymongo.errors.ServerSelectionTimeoutError: no primary found in replica set",
            "pymongo.errors.AutoReconnect: mongo closed the connection",
        ),
    ),
    *_scenarios(
        "database_performance",
        True,
        deadlock=(
            "psycopg.errors.DeadlockDetected: deadlock detected",
            "(1213, 'Deadlock found when trying to get lock; try restarting transaction')",
            "ORA-00060: deadlock detected",
        ),
        lock=(
            "psycopg.errors.LockNotAvailable: could not obtain lock on row in relation jobs",
            "(1205, 'Lock wait timeout exceeded')",
            "sqlite3.OperationalError: database is locked",
        ),
        statement=(
            "canceling statement due to statement timeout",
            "canceling statement due to lock timeout",
            "Query execution was interrupted, maximum statement execution time exceeded",
        ),
        serialise=(
            "could not serialize access due to concurrent update",
            "could not serialize access due to read/write dependencies among transactions",
        ),
        standby=("canceling statement due to conflict with recovery", "terminating connection due to conflict with recovery"),
    ),
    *_scenarios(
        "storage_exhaustion",
        False,
        disk=("OSError: [Errno 28] No space left on device", "java.io.IOException: No space left on device", "write failed: disk is full"),
        quota=(
            "OSError: [Errno 122] Disk quota exceeded",
            "org.apache.hadoop.hdfs.protocol.DSQuotaExceededException: the DiskSpace quota is exceeded",
        ),
        tables=(
            "could not extend file base/5/77: No space left on device",
            "ORA-01653: unable to extend table in tablespace USERS",
            "temporary file size exceeds temp_file_limit",
            "The table 'events' is full",
        ),
        pods=("The node was low on resource: ephemeral-storage", "Pod ephemeral local storage usage exceeds the total limit of containers"),
    ),
    *_scenarios(
        "memory_exhaustion",
        None,
        heap=(
            "java.lang.OutOfMemoryError: Java heap space",
            "java.lang.OutOfMemoryError: GC overhead limit exceeded",
            "java.lang.OutOfMemoryError: Metaspace",
        ),
        python=(
            "MemoryError",
            "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 37 GiB for an array",
            "pyarrow.lib.ArrowMemoryError: malloc of size 64 failed",
        ),
        killed=(
            "Command exited with code 137",
            "container terminated, reason OOMKilled",
            "Container killed by YARN for exceeding memory limits",
            "Process terminated by signal. Likely out of memory error (OOM).",
        ),
        engines=(
            "out of shared memory",
            "ERROR: out of memory DETAIL: Failed on request of size 512",
            "DB::Exception: Memory limit (for query) exceeded",
            "ORA-04030: out of process memory",
        ),
        fork=("OSError: [Errno 12] Cannot allocate memory", "unable to create new native thread", "std::bad_alloc"),
    ),
    *_scenarios(
        "network_connectivity",
        True,
        refused=(
            "requests.exceptions.ConnectionError: Failed to establish a new connection: [Errno 111] Connection refused",
            "java.net.ConnectException: Connection refused",
            "curl: (7) Failed to connect to api port 443",
        ),
        reset=(
            "ConnectionResetError: [Errno 104] Connection reset by peer",
            "http.client.RemoteDisconnected: Remote end closed connection without response",
            "BrokenPipeError: [Errno 32] Broken pipe",
        ),
        names=(
            "socket.gaierror: [Errno -3] Temporary failure in name resolution",
            "java.net.UnknownHostException: files.partner",
            "curl: (6) Could not resolve host: files.partner",
        ),
        route=("OSError: [Errno 113] No route to host", "OSError: [Errno 101] Network is unreachable"),
        tls=(
            "ssl.SSLError: [SSL: WRONG_VERSION_NUMBER] wrong version number",
            "javax.net.ssl.SSLHandshakeException: Remote host terminated the handshake",
            "certificate verify failed: certificate has expired",
        ),
        broker=(
            "kafka.errors.NoBrokersAvailable: NoBrokersAvailable",
            "redis.exceptions.ConnectionError: Error 111 connecting to cache:6379",
            "paramiko.ssh_exception.NoValidConnectionsError: Unable to connect to port 22",
        ),
    ),
    *_scenarios(
        "network_timeout",
        True,
        read=(
            "requests.exceptions.ReadTimeout: Read timed out. (read timeout=9)",
            "java.net.SocketTimeoutException: Read timed out",
            "httpx.ReadTimeout: The read operation timed out",
        ),
        connect=(
            "requests.exceptions.ConnectTimeout: Connection to api timed out",
            "TimeoutError: [Errno 110] Connection timed out",
            "aiohttp.client_exceptions.ConnectionTimeoutError: Connection timeout to host",
        ),
        gateway=(
            "requests.exceptions.HTTPError: 504 Server Error: Gateway Time-out",
            "google.api_core.exceptions.DeadlineExceeded: 504 Deadline Exceeded",
            "upstream request timeout",
        ),
        spark=(
            "java.util.concurrent.TimeoutException: Futures timed out after [300 seconds]",
            "org.apache.spark.rpc.RpcTimeoutException: Cannot receive any reply in 120 seconds",
        ),
    ),
    *_scenarios(
        "rate_limit",
        True,
        http=(
            "requests.exceptions.HTTPError: 429 Client Error: Too Many Requests",
            "google.api_core.exceptions.ResourceExhausted: 429 quota exceeded",
            "openai.RateLimitError: rate limit reached for requests",
        ),
        aws=(
            "botocore.exceptions.ClientError: An error occurred (ThrottlingException) when calling the StartQuery operation: Rate exceeded",
            "An error occurred (SlowDown) when calling the PutObject operation: Please reduce your request rate.",
            "An error occurred (TooManyRequestsException) when calling the GetQuery operation",
        ),
        others=(
            "simple_salesforce.exceptions.SalesforceError: REQUEST_LIMIT_EXCEEDED",
            "slack_sdk.errors.SlackApiError: ratelimited",
            "API rate limit exceeded for user",
        ),
    ),
    *_scenarios(
        "authentication",
        False,
        database=(
            'FATAL: password authentication failed for user "loader"',
            "(1045, \"Access denied for user 'loader'@'host'\")",
            "ORA-01017: invalid username/password; logon denied",
            "permission denied for table salaries",
            "Login failed for user 'loader'.",
        ),
        http=(
            "401 Client Error: Unauthorized for url",
            "403 Client Error: Forbidden for url",
            "google.auth.exceptions.RefreshError: invalid_grant: Token has been expired or revoked.",
        ),
        aws=(
            "An error occurred (AccessDenied) when calling the GetObject operation: Access Denied",
            "An error occurred (ExpiredToken) when calling the ListBuckets operation",
            "SignatureDoesNotMatch",
        ),
        files=(
            "PermissionError: [Errno 13] Permission denied: '/srv/in/a.csv'",
            "paramiko.ssh_exception.AuthenticationException: Authentication failed.",
            "AccessControlException: Permission denied: user=etl, access=WRITE",
        ),
        kerberos=("GSS initiate failed", "kinit: Preauthentication failed while getting initial credentials"),
    ),
    *_scenarios(
        "configuration_error",
        False,
        airflow=(
            "airflow.exceptions.AirflowNotFoundException: The conn_id `erp` isn't defined",
            "KeyError: 'Variable report_mail does not exist'",
            "cryptography.fernet.InvalidToken",
        ),
        environment=(
            "bash: line 1: dbt: command not found",
            "JAVA_HOME is not set",
            "environment variable WAREHOUSE_URL is not set",
            "Exec format error",
            "[Errno 98] Address already in use",
        ),
        java=(
            "java.lang.ClassNotFoundException: com.shop.jobs.Rollup",
            "java.lang.NoClassDefFoundError: scala/Serializable",
            "No FileSystem for scheme gs",
            "java.sql.SQLException: No suitable driver",
        ),
        spark=(
            "A master URL must be set in your configuration",
            "spark.sql.shuffle.partitions should be positive",
            "Failed to find data source: delta.",
        ),
        cloud=(
            "botocore.exceptions.NoCredentialsError: Unable to locate credentials",
            "You must specify a region.",
            "NoSuchBucket: The specified bucket does not exist",
        ),
        database=(
            'unrecognized configuration parameter "work_mem_mb"',
            "(1049, \"Unknown database 'shop2'\")",
            'root certificate file "/srv/root.crt" does not exist',
            "ORA-12154: TNS:could not resolve the connect identifier",
        ),
        tools=(
            "Could not find profile named 'shop'",
            "configparser.NoSectionError: No section: 'smtp'",
            "requests.exceptions.MissingSchema: Invalid URL: No scheme supplied",
            "ImagePullBackOff",
        ),
    ),
    *_scenarios(
        "missing_data",
        None,
        files=(
            "FileNotFoundError: [Errno 2] No such file or directory: '/srv/in/orders.csv'",
            "java.io.FileNotFoundException: File /srv/in does not exist",
            "Input path does not exist: hdfs://nn/in/day",
        ),
        objects=(
            "An error occurred (NoSuchKey) when calling the GetObject operation",
            "azure.core.exceptions.ResourceNotFoundError: The specified blob does not exist.",
            "google.api_core.exceptions.NotFound: 404 No such object",
        ),
        tables=(
            'relation "staging.orders_today" does not exist',
            "sqlite3.OperationalError: no such table: orders",
            "ORA-00942: table or view does not exist",
            "[TABLE_OR_VIEW_NOT_FOUND] The table or view `raw`.`x` cannot be found.",
        ),
        spark=("[PATH_NOT_FOUND] Path does not exist: file:/srv/in/day", "Unable to infer schema for JSON. It must be specified manually."),
        empty=(
            "pandas.errors.EmptyDataError: No columns to parse from file",
            "ValueError: No files found for today",
            "sensor gave up waiting for the file",
        ),
    ),
    *_scenarios(
        "data_quality",
        False,
        keys=(
            "duplicate key value violates unique constraint",
            "(1062, \"Duplicate entry '7' for key 'PRIMARY'\")",
            "ORA-00001: unique constraint violated",
            "UNIQUE constraint failed: t.id",
        ),
        nulls=(
            'null value in column "id" violates not-null constraint',
            "NOT NULL constraint failed: t.name",
            "Column 'city' cannot be null",
        ),
        types=(
            "invalid input syntax for type integer",
            "ValueError: could not convert string to float: 'n/a'",
            "java.lang.NumberFormatException: For input string",
            "[CAST_INVALID_INPUT] The value cannot be cast to INT",
            "division by zero",
        ),
        formats=(
            "json.decoder.JSONDecodeError: Expecting value: line 1 column 1",
            "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xe9",
            "pandas.errors.ParserError: Error tokenizing data",
            "is not a Parquet file",
            "Malformed records are detected in record parsing",
        ),
        checks=(
            "Data quality check failed: 14 orphan rows",
            "2/9 checks FAILED",
            "Failure in test unique_orders_id",
            "Expectation suite was not successful",
            "row count below threshold",
        ),
        lengths=(
            "value too long for type character varying(20)",
            "Data too long for column 'name' at row 3",
            "numeric field overflow",
            "String or binary data would be truncated",
        ),
    ),
    *_scenarios(
        "code_error",
        False,
        imports=("ModuleNotFoundError: No module named 'pendulum2'", "ImportError: cannot import name 'soda' from 'checks'"),
        names=(
            "NameError: name 'spark' is not defined",
            "AttributeError: 'NoneType' object has no attribute 'split'",
            "KeyError: 'customer'",
            "IndexError: list index out of range",
        ),
        types=(
            "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
            "TypeError: run() missing 1 required positional argument: 'day'",
            "SyntaxError: invalid syntax",
            "UnboundLocalError: local variable referenced before assignment",
        ),
        sql=(
            'syntax error at or near "form"',
            'column "amt" does not exist',
            "(1064, 'You have an error in your SQL syntax')",
            "ORA-00904: invalid identifier",
            "[UNRESOLVED_COLUMN] A column cannot be resolved",
            "current transaction is aborted",
        ),
        templates=(
            "jinja2.exceptions.UndefinedError: 'day' is undefined",
            "jinja2.exceptions.TemplateSyntaxError: unexpected end of template",
            "Compilation Error in model orders",
        ),
        java=(
            "java.lang.NullPointerException",
            "scala.MatchError: null",
            "org.apache.spark.SparkException: Task not serializable",
            "java.lang.ArrayIndexOutOfBoundsException: 3",
        ),
    ),
    *_scenarios(
        "infrastructure_failure",
        True,
        killed=(
            "process received signal SIGTERM",
            "Task exited with return code Negsignal.SIGKILL",
            "container exited with a non-zero exit code 143",
        ),
        airflow=(
            "Detected zombie job",
            "Task did not emit heartbeat within time limit",
            "Executor reports task instance finished (failed) although the task says it's queued",
            "Worker exited prematurely: signal 9",
        ),
        spark=(
            "ExecutorLostFailure: executor 4 exited caused by one of the running tasks",
            "org.apache.spark.shuffle.FetchFailedException",
            "Lost executor 2 on node7: Remote RPC client disassociated",
            "Python worker crashed",
        ),
        services=(
            "503 Server Error: Service Unavailable for url",
            "502 Server Error: Bad Gateway for url",
            "500 Server Error: Internal Server Error for url",
            "Name node is in safe mode",
        ),
        nodes=(
            "pod was evicted: the node had DiskPressure",
            "node is not ready",
            "0/5 nodes are available: insufficient cpu",
            "spot instance was reclaimed",
        ),
        crashes=(
            "server process was terminated by signal 11: Segmentation fault",
            "Segmentation fault (core dumped)",
            "OSError: [Errno 5] Input/output error",
            "concurrent.futures.process.BrokenProcessPool",
        ),
    ),
    *_scenarios(
        "workflow_timeout",
        None,
        task=(
            "airflow.exceptions.AirflowTaskTimeout: Timeout, PID: 77",
            "airflow.sdk.exceptions.AirflowTaskTimeout: Timeout, PID: 12",
            "Process timed out, PID: 31",
        ),
        sensor=(
            "airflow.exceptions.AirflowSensorTimeout: Sensor has timed out; run duration of 60 seconds",
            "Snap. Time is OUT. DAG id: a",
        ),
        run=(
            "Run manual of nightly has timed-out",
            "DagBag import timeout for /srv/dags/a.py after 30.0s.",
            "Trigger timeout",
            "airflow.exceptions.TaskDeferralTimeout: Trigger/execution timeout",
        ),
    ),
    *_scenarios(
        NO_INCIDENT,
        None,
        counts=("load finished, 0 errors, 0 failed, 512 rows", "errors=0 failed=0 skipped=0", "no failures found in 40 checks"),
        words=(
            "table error_log refreshed",
            "connection to the warehouse opened",
            "timeout set to 300 seconds",
            "retry policy: 3 attempts",
            "memory store started with capacity 366 MiB",
        ),
        engines=(
            "checkpoint complete: wrote 40 buffers",
            "automatic vacuum of table shop.public.failed_jobs",
            "database system is ready to accept connections",
            "Registered executor, ID 3",
        ),
        airflow=(
            "Marking task as SUCCESS",
            "Task exited with return code 0",
            "Dependencies all met for the task",
            "Executing the task now",
        ),
        chatter=(
            "Starting attempt 2 of 3",
            "Filling up the DagBag",
            "closing the session after work",
            "Successfully stopped SparkContext",
            "Heartbeat sent",
            "Skipping the already loaded partition",
        ),
    ),
)
