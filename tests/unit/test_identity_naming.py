"""What services are called."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identity_support import notice, process

from otel_ebpf.config import Match, NamingRule
from otel_ebpf.identity.command import INTERPRETERS
from otel_ebpf.identity.model import Container, Pod
from otel_ebpf.identity.names import directory_name
from otel_ebpf.identity.naming import Name, name_of, namers, unit_name
from otel_ebpf.identity.process import process_of, read_process


def named(command: str, executable: str = "", directory: str = "") -> str:
    arguments = command.split(" ")
    path = executable or f"/usr/bin/{os.path.basename(arguments[0])}"
    return name_of(process(*arguments, executable=path, directory=directory), namers()).name


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python3 /srv/shop/server.py --port 80", "server"),
        ("python3 -u -W ignore -X dev shop.py", "shop"),
        ("python3 -m shop", "shop"),
        ("python3 -Im shop.__main__", "shop"),
        ("python3 -m shop.main", "shop"),
        ("python3 -mhttp.server 8000", "http.server"),
        ("python3 /srv/shop/main.py", "shop"),
        ("python3 /home/bob/main.py", "main"),
        ("python3 /tmp/x/app.py", "app"),
        ("python3 /srv/shop/src/shopd/__main__.py", "shopd"),
        ("python3 /srv/shop/manage.py runserver 0:80", "shop"),
        ("python3 /usr/bin/gunicorn shop.wsgi", "shop"),
        ("python3 /usr/bin/gunicorn -w 4 -k uvicorn.workers.UvicornWorker shop.main:app", "shop"),
        ("python3 /usr/bin/gunicorn --bind=:80 --preload shop.web:create_app()", "shop.web"),
        ("python3 /usr/bin/gunicorn -n checkout app:app", "checkout"),
        ("python3 -m uvicorn shop.main:app --host 0.0.0.0", "shop"),
        ("python3 /usr/bin/uvicorn --reload shop.server:app", "shop"),
        ("python3 /usr/bin/flask --app shop run", "shop"),
        ("python3 -m flask --app=shop.app run", "shop"),
        ("python3 /usr/bin/fastapi run /srv/shop/main.py", "shop"),
        ("python3 /usr/bin/celery -A shop.celery worker", "shop"),
        ("python3 /usr/bin/celery -Ashop worker", "shop"),
        ("python3 /usr/bin/hypercorn shop.asgi:application", "shop"),
        ("python3 /usr/bin/waitress-serve --call shop:create", "shop"),
        ("python3 -c print(1)", "python"),
        ("python3 -", "python"),
        ("python3", "python"),
        ("uwsgi --http :80 --module shop.wsgi:application", "shop"),
        ("uwsgi --http :80", "uwsgi"),
        ("node --require ./tracing.js --max-old-space-size=99 server.js", "server"),
        ("node /srv/shop/index.js", "shop"),
        ("node -e 1", "node"),
        ("node", "node"),
        ("deno run --allow-net /srv/shop/main.ts", "shop"),
        ("bun run checkout.ts", "checkout"),
        ("java -Xmx1g -Dx=y -jar /opt/shop-1.2.jar --port 80", "shop"),
        ("java -jar shop-api-2.0.1-SNAPSHOT.jar", "shop-api"),
        ("java -jar /opt/shop/app.jar", "shop"),
        ("java -cp a:b com.acme.shop.Checkout run", "Checkout"),
        ("java -classpath a:b com.acme.shop.Main", "shop"),
        ("java com.acme.ShopKt", "Shop"),
        ("java -m com.acme.shop/com.acme.shop.Main", "shop"),
        ("java -cp x org.apache.catalina.startup.Bootstrap start", "tomcat"),
        ("java --add-opens java.base/x=ALL Shop.java", "Shop"),
        ("java -version", "java"),
        ("ruby -W0 /srv/shop/worker.rb", "worker"),
        ("php -S 0.0.0.0:80 router.php", "router"),
        ("php artisan serve", "php"),
        ("perl -I lib daemon.pl", "daemon"),
        ("dotnet exec --depsfile x /app/Shop.Api.dll", "Shop.Api"),
        ("dotnet run --project /src/Shop/Shop.csproj", "Shop"),
        ("beam.smp -- -root /x -sname rabbit@host", "rabbit"),
        ("bash /opt/feed.sh", "feed"),
        ("bash /dev/fd/63", "bash"),
        ("bash -c curl", "bash"),
        ("nginx -g daemon", "nginx"),
        ("checkout-service", "checkout-service"),
    ],
)
def test_commands(command: str, name: str) -> None:
    assert named(command) == name


@pytest.mark.parametrize(
    ("title", "executable", "name"),
    [
        ("gunicorn: master [shop.wsgi]", "/usr/bin/python3.11", "shop"),
        ("gunicorn: worker [shop]", "/usr/bin/python3.11", "shop"),
        ("shop-worker", "/usr/bin/python3.11", "shop-worker"),
        ("shop: worker 3", "/usr/bin/python3.11", "shop"),
        ("[celeryd: celery@host:MainProcess] -active-", "/usr/bin/python3.11", "celery"),
        ("nginx: worker process", "/usr/sbin/nginx", "nginx"),
        ("postgres: shop app 10.0.0.1(5000) idle", "/usr/lib/postgresql/15/bin/postgres", "postgres"),
        ("php-fpm: pool www", "/usr/sbin/php-fpm8.2", "php-fpm"),
        ("php-fpm: pool checkout", "/usr/sbin/php-fpm8.2", "checkout"),
        ("php-fpm: master process (/etc/php/fpm.conf)", "/usr/sbin/php-fpm8.2", "php-fpm"),
        ("puma 6.0.0 (tcp://0.0.0.0:3000) [checkout]", "/usr/bin/ruby3.1", "checkout"),
        ("puma: cluster worker 0: 12 [checkout]", "/usr/bin/ruby3.1", "checkout"),
        ("unicorn worker[0] -c /etc/unicorn.rb", "/usr/bin/ruby3.1", "unicorn"),
        ("sidekiq 7.1.0 checkout [0 of 5 busy]", "/usr/bin/ruby3.1", "checkout"),
        ("node /srv/checkout.js", "/usr/bin/node", "checkout"),
        ("PM2 v5.3.0: God Daemon (/root/.pm2)", "/usr/bin/node", "pm2"),
        ("next-server (v14.1.0)", "/usr/bin/node", "next-server"),
    ],
)
def test_titles(title: str, executable: str, name: str) -> None:
    assert name_of(process(title, executable=executable), namers()).name == name


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("/srv/shop", "shop"),
        ("/srv/shop/current/src", "shop"),
        ("/srv/shop/releases/20240101120000", "shop"),
        ("/home/bob/shop/app", "shop"),
        ("/home/bob", ""),
        ("/usr/src/app", ""),
        ("/tmp/shop", ""),
        ("/root/.cache/x/..", ""),
        ("/", ""),
        ("shop", ""),
    ],
)
def test_directories_that_name_an_application(directory: str, name: str) -> None:
    assert directory_name(os.path.normpath(directory)) == name


def test_what_says_nothing_itself_is_named_by_its_directory() -> None:
    for command in ("uvicorn main:app", "flask run", "gunicorn wsgi", "django-admin runserver"):
        assert named(f"python3 /usr/bin/{command}", directory="/srv/shop") == "shop"
    assert named("python3 /usr/bin/uvicorn app.main:app", directory="/app") == "app"
    assert named("ruby bin/rails server", directory="/srv/shop") == "shop"
    assert named("php artisan serve", directory="/srv/shop") == "shop"
    assert named("java -jar app.jar", directory="/srv/shop") == "shop"


@pytest.mark.parametrize(
    ("package", "name"),
    [
        (json.dumps({"name": "@acme/checkout"}), "checkout"),
        (json.dumps({"name": 7}), "server"),
        (json.dumps(["name"]), "server"),
        ("[" * 10_000, "server"),
        ("\xff", "server"),
    ],
)
def test_node_is_named_by_its_package(tmp_path: Path, package: str, name: str) -> None:
    (tmp_path / "package.json").write_text(package, encoding="latin-1")
    (tmp_path / "dist").mkdir()
    own = read_process(os.getpid())
    assert own is not None
    here = {"pid": own.pid, "start": own.start, "visible_pid": own.pid, "directory": str(tmp_path)}
    for command in (("node", "dist/server.js"), ("node", "server.js")):
        assert name_of(process(*command, **here), namers()).name == name
    if name == "checkout":
        tool = ("node", "/usr/lib/node_modules/npm/bin/npm-cli.js", "start")
        assert name_of(process(*tool, **here), namers()).name == name
        assert name_of(process("npm start", executable="/usr/bin/node", **here), namers()).name == name


@pytest.mark.parametrize(
    ("cgroup", "name"),
    [
        ("/system.slice/nginx.service", "nginx"),
        ("/system.slice/system-shop.slice/shop@eu-1.service", "shop"),
        ("/system.slice/my\\x2dshop.service", "my-shop"),
        ("/../../system.slice/nginx.service", "nginx"),
        ("/system.slice/shop.service/workers", "shop"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service", "shop"),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", ""),
        ("/user.slice/user-1000.slice/session-3.scope", ""),
        ("/user.slice/user-1000.slice/user@1000.service", ""),
        ("/system.slice/cron.service", ""),
        ("/system.slice/docker.service", ""),
        ("/system.slice/docker-" + "a" * 64 + ".scope", ""),
        ("/system.slice/containerd.service/kubepods-besteffort-pod1.slice:cri:" + "b" * 64, ""),
        ("/docker/" + "c" * 64 + "/system.slice/nginx.service", ""),
        ("/", ""),
        ("", ""),
    ],
)
def test_units(cgroup: str, name: str) -> None:
    assert unit_name(cgroup) == name


def test_the_order() -> None:
    rules = (
        NamingRule(match=Match(executable="java"), name="other"),
        NamingRule(
            match=Match(executable="python3*", command_line="*shop.py*"), name="by-rule", namespace="sales"
        ),
    )
    order = namers(rules)
    names = ["environment", "rule", "pod", "container", "unit", "program", "executable"]
    assert [name for name, _ in order] == names
    environment = {"OTEL_SERVICE_NAME": "own", "OTEL_RESOURCE_ATTRIBUTES": "service.name=attribute"}
    command = ("python3", "shop.py")
    facts = {"executable": "/usr/bin/python3.11", "cgroup": "/system.slice/unit.service"}

    assert name_of(process(*command, **facts, environment=environment), order) == Name("own")
    del environment["OTEL_SERVICE_NAME"]
    environment["OTEL_RESOURCE_ATTRIBUTES"] += ",service.namespace=mine"
    assert name_of(process(*command, **facts, environment=environment), order) == Name("attribute", "mine")
    assert name_of(process(*command, **facts), order) == Name("by-rule", "sales")
    compose = Container("1", "docker", "shop-web-1", labels={"com.docker.compose.service": "web"})
    owners = (("replicaset", "shop-5d4", "1"), ("deployment", "shop", "2"))
    pod = Pod("1", "shop-5d4-xyz", "sales", owners=owners)
    labelled = replace(pod, labels={"app.kubernetes.io/name": "till", "app.kubernetes.io/instance": "till-a"})
    annotated = replace(labelled, annotations={"resource.opentelemetry.io/service.name": "annotated"})
    for known, name in ((annotated, "annotated"), (labelled, "till-a"), (pod, "shop")):
        placed = process(*command, **facts, container=compose, pod=known)
        assert name_of(placed, namers()) == Name(name, "sales")
    alone = process(*command, **facts, container=compose, pod=Pod("1", "shop-xyz"))
    assert name_of(alone, namers()) == Name("shop-xyz")
    assert name_of(process(*command, **facts, container=compose, pod=Pod("1")), namers()) == Name(
        "shop-web-1"
    )
    assert name_of(process(*command, **facts, container=compose), namers()) == Name("web")
    named = Container("1", "docker", "shop")
    assert name_of(process(*command, **facts, container=named), namers()) == Name("shop")
    assert name_of(process(*command, **facts, container=Container("1")), namers()) == Name("unit")
    assert name_of(process(*command, **facts), namers()) == Name("unit")
    assert name_of(process(*command, executable="/usr/bin/python3.11"), namers()) == Name("shop")
    assert name_of(process(executable="/usr/bin/python3.11"), namers()) == Name("python")
    assert name_of(process(executable=""), namers()) == Name("unknown_service")


def test_what_has_no_executable_says_that_it_is_unknown() -> None:
    """A process that has ended and was not waited for yet: the kernel's name of it is all that is left."""
    with subprocess.Popen(["/bin/true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        ended = read_process(child.pid)
        told = notice(executable=b"", arguments=b"", command=b"kworker/0:1")
    assert ended is not None
    assert name_of(ended, namers()).name == "unknown_service:true"
    assert name_of(process_of(told), namers()).name == "unknown_service:kworker/0:1"
    titled = process("shop: worker 1", executable="", command="shop")
    assert name_of(titled, namers()).name == "unknown_service:shop"
    assert name_of(process(executable="", command="\0\n"), namers()).name == "unknown_service"
    rule = NamingRule(match=Match(executable="true"), name="guessed")
    assert name_of(ended, namers([rule])).name == "unknown_service:true"


def test_an_executable_in_memory_is_named_by_its_arguments() -> None:
    assert name_of(process("/opt/shop", executable="/memfd:x"), namers()).name == "shop"


def test_a_worker_that_python_spawned_is_named_by_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "checkout.py"
    script.write_text(
        "import subprocess, sys\n"
        "code = 'import os; print(os.getpid(), flush=True); input()'\n"
        "subprocess.run([sys.executable, '-c', code, '--multiprocessing-fork'])\n"
    )
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        # From itself: its arguments are not there yet when Popen returns.
        worker = read_process(int(parent.stdout.readline()))
        assert worker is not None
        name = name_of(worker, namers()).name
        parent.communicate("\n", timeout=60)
    assert name == "checkout"


@given(
    st.sampled_from(sorted(INTERPRETERS)),
    st.lists(
        st.text(max_size=20) | st.sampled_from(["-m", "-jar", "-c", "run", "a:b", "x.py", "--", "-"]),
        max_size=6,
    ),
    st.text(max_size=20),
)
def test_nothing_raises_and_every_name_is_fit_to_leave(
    executable: str, arguments: list[str], text: str
) -> None:
    environment = {"OTEL_RESOURCE_ATTRIBUTES": f"service.name={text}"}
    for given_process in (
        process(executable, *arguments, directory=text),
        process(*arguments, executable=executable),
        process(executable, environment=environment, cgroup=f"/{text}.service"),
    ):
        name = name_of(given_process, namers()).name
        assert 0 < len(name) <= 255
        assert name.isprintable()
