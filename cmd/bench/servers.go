package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
)

const (
	redisPort     = 6379
	postgresPort  = 5432
	mysqlPort     = 3306
	memcachedPort = 11211
	natsPort      = 4222
	httpPort      = 8080
	http2Port     = 8081
	grpcPort      = 9090
	kafkaPort     = 9092
	amqpPort      = 5672
	mongoPort     = 17017
)

// ports are those that plain proxies stand in front of.
var ports = []int{redisPort, postgresPort, mysqlPort, memcachedPort, natsPort, httpPort, http2Port, grpcPort, kafkaPort, amqpPort, mongoPort}

// server is what a load talks to.
type server struct {
	port  int
	needs []need
	peer  *peer // nil: there is no proxy that speaks its protocol
	start func(ctx context.Context, l *lab) error
	warms bool // it is slow at first, so a run that does not count goes before
}

var redisServer = &server{redisPort, []need{{"redis-server", "redis-server"}}, nutcracker(true), func(ctx context.Context, l *lab) error {
	return l.start(ctx, service("redis", redisPort, "redis-server", "--save", "", "--appendonly", "no", "--port", strconv.Itoa(redisPort)))
}, false}

const postgresBins = "/usr/lib/postgresql/*/bin/postgres"

var postgresServer = &server{postgresPort, []need{{postgresBins, "postgresql"}}, &pgbouncer, func(ctx context.Context, l *lab) error {
	bins, _ := filepath.Glob(postgresBins)
	bin, data := filepath.Dir(bins[len(bins)-1]), l.world.Dir()+"/pg"
	if err := l.prepare(ctx, "runuser", "-u", "postgres", "--", bin+"/initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"); err != nil {
		return err
	}
	pg := service("postgres", postgresPort, bin+"/postgres", "-D", data, "-p", strconv.Itoa(postgresPort), "-c", "fsync=off", "-k", l.world.Dir())
	pg.User = "postgres"
	if err := l.start(ctx, pg); err != nil {
		return err
	}
	_, err := l.client(ctx, "init", nil, "pgbench", "-h", "127.0.0.1", "-p", strconv.Itoa(postgresPort), "-U", "postgres", "-i", "-q", "postgres")
	return err
}, false}

var mariadbServer = &server{mysqlPort, []need{{"mariadbd", "mariadb-server"}, {"mariadb", "mariadb-client"}, {"sysbench", "sysbench"}}, nil, func(ctx context.Context, l *lab) error {
	data, socket, port := l.world.Dir()+"/mariadb", l.world.Dir()+"/mariadb.sock", strconv.Itoa(mysqlPort)
	if err := l.prepare(ctx, "mariadb-install-db", "--no-defaults", "--user=mysql", "--datadir="+data,
		"--auth-root-authentication-method=normal", "--skip-test-db"); err != nil {
		return err
	}
	s := service("mariadb", mysqlPort, "mariadbd", "--no-defaults", "--datadir="+data, "--bind-address=127.0.0.1", "--port="+port,
		"--socket="+socket, "--skip-log-bin", "--innodb-flush-log-at-trx-commit=0")
	s.User = "mysql"
	if err := l.start(ctx, s); err != nil {
		return err
	}
	if _, err := l.client(ctx, "init", nil, "mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", port, "-u", "root", "-e", "CREATE DATABASE sbtest"); err != nil {
		return err
	}
	_, err := l.client(ctx, "init", nil, append(sysbench(mysqlPort, 1, 0), "prepare")...)
	return err
}, false}

var memcachedServer = &server{memcachedPort, []need{{"memcached", "memcached"}}, nutcracker(false), func(ctx context.Context, l *lab) error {
	return l.start(ctx, service("memcached", memcachedPort, "memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", strconv.Itoa(memcachedPort)))
}, false}

var natsServer = &server{natsPort, []need{{"nats-server", "nats-server"}}, nil, func(ctx context.Context, l *lab) error {
	return l.start(ctx, service("nats", natsPort, "nats-server", "-a", "127.0.0.1", "-p", strconv.Itoa(natsPort)))
}, false}

// nginxServer speaks HTTP/1.1 at httpPort and HTTP/2 without TLS at http2Port.
func nginxServer(port int) *server {
	return &server{port, []need{{"nginx", "nginx-core"}}, nil, func(ctx context.Context, l *lab) error {
		dir := l.world.Dir()
		file, err := l.file("nginx.conf", fmt.Sprintf(`daemon off; worker_processes 1; pid %[1]s/nginx.pid; error_log stderr;
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 100000000; client_body_temp_path %[1]s/nginx-body; proxy_temp_path %[1]s/nginx-proxy;
  fastcgi_temp_path %[1]s/nginx-fastcgi; uwsgi_temp_path %[1]s/nginx-uwsgi; scgi_temp_path %[1]s/nginx-scgi;
  server {
    listen 127.0.0.1:%[2]d; listen 127.0.0.1:%[3]d http2;
    location / { return 200 "hello, world\n"; }
  }
}
`, dir, httpPort, http2Port))
		if err != nil {
			return err
		}
		return l.start(ctx, service(fmt.Sprintf("nginx-%d", port), port, "nginx", "-c", file, "-e", "stderr"))
	}, false}
}

var (
	http1Server = nginxServer(httpPort)
	http2Server = nginxServer(http2Port)
)

var grpcServer = &server{grpcPort, nil, nil, func(ctx context.Context, l *lab) error {
	own, err := os.Executable()
	if err != nil {
		return err
	}
	return l.start(ctx, service("grpc", grpcPort, own, "self", "serve", "grpc", strconv.Itoa(grpcPort)))
}, false}

// cached is a folder that a recipe in .ci/deps.d has filled.
func cached(name string) string {
	cache, _ := os.UserCacheDir()
	return filepath.Join(cache, "faultbox-tests", name)
}

// small has a Java program start fast.
var small = []string{"java", "-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp"}

const kafkaFolder = "kafka-3.9.1"

var kafkaServer = &server{kafkaPort, []need{{"java", "default-jdk-headless"}, {cached(kafkaFolder) + "/complete", "sh .ci/deps.d/kafka.sh"}}, nil, func(ctx context.Context, l *lab) error {
	data := l.world.Dir() + "/kafka"
	file, err := l.file("kafka.properties", fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]d
controller.listener.names=CONTROLLER
log.dirs=%[3]s
offsets.topic.replication.factor=1
auto.create.topics.enable=true
`, kafkaPort, kafkaPort+1, data))
	if err != nil {
		return err
	}
	run := append(small, cached(kafkaFolder)+"/lib/*")
	format := append(run, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", file)
	if _, err := l.client(ctx, "init", nil, format...); err != nil {
		return err
	}
	return l.start(ctx, service("kafka", kafkaPort, run[0], append(run[1:], "kafka.Kafka", file)...))
}, true}

var rabbitmqServer = &server{amqpPort, []need{{"/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"}, {"/usr/lib/erlang/erts-*/bin/epmd", "erlang-base"}}, nil, func(ctx context.Context, l *lab) error {
	dir := l.world.Dir() + "/rabbitmq"
	account, err := user.Lookup("rabbitmq")
	if err != nil {
		return fmt.Errorf("run RabbitMQ: %w", err)
	}
	uid, _ := strconv.Atoi(account.Uid)
	if err := errors.Join(os.Mkdir(dir, 0o755), os.Chown(dir, uid, -1)); err != nil {
		return err
	}
	conf, err := l.file("rabbitmq.conf", fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%d\n", amqpPort))
	if err != nil {
		return err
	}
	// Left to itself the server would start a registry that outlives it.
	epmd, _ := filepath.Glob("/usr/lib/erlang/erts-*/bin/epmd")
	registry := service("epmd", 4369, epmd[0], "-address", "127.0.0.1")
	registry.User = "rabbitmq"
	if err := l.start(ctx, registry); err != nil {
		return err
	}
	s := service("rabbitmq", amqpPort, "/usr/lib/rabbitmq/bin/rabbitmq-server")
	s.User, s.Workdir = "rabbitmq", dir
	s.Env = []string{"HOME=" + dir, "RABBITMQ_NODENAME=bench@localhost", "RABBITMQ_DIST_PORT=4370", "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
		"RABBITMQ_CONFIG_FILE=" + conf[:len(conf)-len(".conf")], "RABBITMQ_MNESIA_BASE=" + dir + "/mnesia", "RABBITMQ_LOG_BASE=" + dir + "/log",
		"RABBITMQ_PID_FILE=" + dir + "/pid", "RABBITMQ_ENABLED_PLUGINS_FILE=" + dir + "/plugins"}
	return l.start(ctx, s)
}, true}

const (
	mongoFolder = "mongo-java-server-1.47.0"
	mongoServer = `import de.bwaldvogel.mongo.*;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.util.List;

public class Server {
    public static void main(String[] args) throws Exception {
        MemoryBackend backend = new MemoryBackend();
        backend.version(new MongoVersion() {
            public List<Integer> getVersionArray() { return List.of(4, 4, 0); }
            public int getWireVersion() { return 9; }
        });
        new MongoServer(backend).bind("127.0.0.1", Integer.parseInt(args[0]));
        Thread.currentThread().join();
    }
}
`
)

var mongodbServer = &server{mongoPort, []need{{"java", "default-jdk-headless"}, {cached(mongoFolder) + "/complete", "sh .ci/deps.d/mongodb.sh"}}, nil, func(ctx context.Context, l *lab) error {
	source, err := l.file("Server.java", mongoServer)
	if err != nil {
		return err
	}
	return l.start(ctx, service("mongodb", mongoPort, small[0], append(small[1:], cached(mongoFolder)+"/lib/*", source, strconv.Itoa(mongoPort))...))
}, true}

// prepare runs a program outside of the world, for what is not measured.
func (l *lab) prepare(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = l.world.Dir()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w: %s", args[0], err, out)
	}
	return nil
}
