"""deploy/dashboards/check against an imposter of Prometheus, and what the shipped dashboard must be."""
import contextlib
import http.server
import importlib.machinery
import importlib.util
import io
import json
import pathlib
import tempfile
import threading
import unittest
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "deploy/dashboards/sluice.json"
RULES = ROOT / "deploy/rules/sluice.rules.yaml"


def load():
    path = str(ROOT / "deploy/dashboards/check")
    spec = importlib.util.spec_from_loader("check", importlib.machinery.SourceFileLoader("check", path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check = load()


class Imposter(http.server.BaseHTTPRequestHandler):
    """Answers by the query's text; remembers what it was asked."""
    asked = []
    ready_after = 0  # questions answered without series first
    rules = []  # the alert rules it has loaded

    def do_GET(self):
        if urllib.parse.urlsplit(self.path).path == "/api/v1/rules":
            return self.answer(200, {"status": "success", "data": {
                "groups": [{"name": "g", "rules": Imposter.rules}]}})
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["query"][0]
        Imposter.asked.append(query)
        code, body = 200, {"status": "success", "data": {"resultType": "vector", "result": []}}
        if query == "wrong(":
            code, body = 400, {"status": "error", "errorType": "bad_data", "error": "1:7: parse error"}
        elif query == "gateway":
            code, body = 502, "not json"
        elif query == "scalar":
            body["data"] = {"resultType": "scalar", "result": [1, "1"]}
        elif not query.startswith("nothing") and len(Imposter.asked) > Imposter.ready_after:
            body["data"]["result"] = [{"metric": {}, "value": [1, "NaN"]}] * 2
        self.answer(code, body)

    def answer(self, code, body):
        raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_):
        pass


class Check(unittest.TestCase):
    def setUp(self):
        Imposter.asked, Imposter.ready_after, Imposter.rules = [], 0, []
        self.server = http.server.HTTPServer(("127.0.0.1", 0), Imposter)
        thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def run_check(self, panels, *arguments, variables=(), rules=""):
        dashboard = {"panels": panels, "templating": {"list": list(variables)}}
        with tempfile.TemporaryDirectory() as folder:
            board, rule_file = pathlib.Path(folder, "board.json"), pathlib.Path(folder, "rules.yaml")
            board.write_text(json.dumps(dashboard))
            rule_file.write_text(rules)
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                code = check.main([self.url, "--dashboard", str(board), "--rules", str(rule_file),
                                   *arguments])
        return code, output.getvalue()

    @staticmethod
    def alert(name, query, health="ok", error=""):
        return {"type": "alerting", "name": name, "query": query, "health": health,
                "lastError": error}

    @staticmethod
    def panel(expression, description="", title="P"):
        return {"title": title, "description": description, "targets": [{"expr": expression}]}

    def test_series_and_scalars_are_well(self):
        code, text = self.run_check([self.panel("up"), self.panel("scalar")])
        self.assertEqual(code, 0, text)
        self.assertIn("2 queries, 0 of them", text)

    def test_an_empty_answer_is_named_with_its_panel_and_query(self):
        code, text = self.run_check([self.panel("nothing", title="Stages")])
        self.assertEqual(code, 1)
        self.assertIn("EMPTY  Stages: no series\n       nothing", text)

    def test_an_empty_answer_is_well_where_the_panel_gives_the_reason(self):
        self.assertEqual(self.run_check([self.panel("nothing", "May be empty: nobody asked.")])[0], 0)
        self.assertEqual(self.run_check([self.panel("nothing", "May be empty: ")])[0], 1)

    def test_an_error_is_never_excused(self):
        code, text = self.run_check([self.panel("wrong(", "May be empty: no.")])
        self.assertEqual(code, 1)
        self.assertIn("1:7: parse error", text)
        self.assertEqual(self.run_check([self.panel("gateway")])[0], 1)

    def test_nobody_answering_is_an_error(self):
        self.url = "http://127.0.0.1:9"
        self.assertEqual(self.run_check([self.panel("up")])[0], 1)

    def test_panels_of_a_collapsed_row_are_asked_too(self):
        row = {"type": "row", "title": "R", "panels": [self.panel("nothing")]}
        self.assertEqual(self.run_check([row])[0], 1)

    def test_variables_are_filled_in(self):
        site = {"name": "site", "allValue": ".*"}
        query = 'rate(x{site=~"$site",s=~"${site:regex}"}[$__rate_interval])'
        self.run_check([self.panel(query)], "--rate-interval", "5s", variables=[site])
        self.run_check([self.panel(query)], "--set", "site=phoenix", variables=[site])
        self.assertEqual(Imposter.asked, ['rate(x{site=~".*",s=~".*"}[5s])',
                                          'rate(x{site=~"phoenix",s=~"phoenix"}[1m])'])

    def test_a_variable_without_a_value_is_an_error(self):
        code, text = self.run_check([self.panel("x{a=$b}")])
        self.assertEqual(code, 1)
        self.assertIn("no value for $b", text)

    def test_it_waits_until_all_is_well(self):
        Imposter.ready_after = 1
        check.AGAIN_SECONDS = 0.01
        self.assertEqual(self.run_check([self.panel("up")], "--wait", "30")[0], 0)
        self.assertEqual(len(Imposter.asked), 2)

    def test_a_missing_dashboard_is_wrong_usage(self):
        with self.assertRaises(SystemExit) as end, contextlib.redirect_stderr(io.StringIO()):
            check.main([self.url, "--dashboard", "/nonexistent"])
        self.assertEqual(end.exception.code, 2)


    def test_an_alert_that_does_not_fire_is_well_if_what_it_looks_at_is_there(self):
        Imposter.rules = [self.alert("A", "rate(x{s=~\"5..\"}[5m]) / y > 0.1")]
        code, text = self.run_check([], rules="  - alert: A\n    expr: x\n")
        self.assertEqual(code, 0, text)
        self.assertEqual(Imposter.asked, ['x{s=~"5.."}', "y"])

    def test_an_alert_on_a_metric_that_is_not_there_is_named(self):
        Imposter.rules = [self.alert("A", "nothing_total > 0")]
        code, text = self.run_check([])
        self.assertEqual(code, 1)
        self.assertIn("EMPTY  A: no series\n       nothing_total", text)
        excused = "  - alert: A\n    # May be empty: nobody asked.\n    expr: x\n  - alert: B\n"
        Imposter.rules.append(self.alert("B", "up"))
        self.assertEqual(self.run_check([], rules=excused)[0], 0)
        Imposter.rules[1] = self.alert("B", "nothing_total > 0")
        self.assertEqual(self.run_check([], rules=excused)[0], 1)  # A's reason is A's alone

    def test_an_alert_that_is_not_loaded_or_does_not_evaluate_is_named(self):
        code, text = self.run_check([], rules="  - alert: Lost\n    expr: x\n")
        self.assertEqual(code, 1)
        self.assertIn("EMPTY  Lost: Prometheus has not loaded the alert", text)
        Imposter.rules = [self.alert("A", "up", "err", "many-to-many matching"),
                          self.alert("B", "up", "unknown")]
        code, text = self.run_check([])
        self.assertEqual(code, 1)
        self.assertIn("ERROR  A: many-to-many matching", text)
        self.assertIn("ERROR  B: not evaluated yet", text)

    def test_selectors_are_found_wherever_they_stand(self):
        for query, found in {
                "absent(up{job=\"a}b\"} == 1)": ['up{job="a}b"}'],
                "sum by (a, b) (rate(x[5m] offset 1h)) / on(a) group_left(c) y > bool 3e3": ["x", "y"],
                "time() - max without (i) (t_seconds) < 3600 and z:rate1m or z:rate1m":
                    ["t_seconds", "z:rate1m"],
                "{__name__=\"q\"} unless vector(1)": ['{__name__="q"}'],
        }.items():
            self.assertEqual(check.selectors(query), found, query)


class Shipped(unittest.TestCase):
    def setUp(self):
        self.dashboard = json.loads(SHIPPED.read_text())

    def test_every_panel_has_a_title_of_its_own_a_place_of_its_own_and_queries(self):
        taken, titles, ids = set(), set(), set()
        for panel in self.dashboard["panels"]:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & taken, panel["title"])
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            taken |= cells
            self.assertNotIn(panel["title"], titles)
            self.assertNotIn(panel["id"], ids)
            titles.add(panel["title"])
            ids.add(panel["id"])
            if panel["type"] != "row":
                self.assertTrue(panel["targets"], panel["title"])

    def test_it_has_the_three_rows(self):
        rows = [p["title"] for p in self.dashboard["panels"] if p["type"] == "row"]
        self.assertEqual(rows, ["Sites and stages", "Agents", "Controller"])

    def test_it_asks_the_source_that_the_user_chose(self):
        for panel in check.panels(self.dashboard):
            for target in panel["targets"]:
                self.assertEqual(target["datasource"]["uid"], "${datasource}", panel["title"])

    def test_few_panels_may_be_empty(self):
        excused = [p["title"] for p in check.panels(self.dashboard)
                   if "May be empty" in p["description"]]
        self.assertEqual(excused, ["Gates of open promotions", "Error budget left",
                                   "Burn rate, by window"])


    def test_few_alerts_look_at_what_may_not_be_there(self):
        excused = check.excused(RULES.read_text())
        self.assertGreater(len(excused), 20)
        self.assertEqual([name for name, reason in excused.items() if reason],
                         ["SluiceClusterUnreachable", "SluiceAgentCertificateEnds",
                          "SluiceGateHeldTooLong", "SluiceExemptionEnds", "SluiceEvidenceGoesStale",
                          "SluiceIncidentHolds", "SluiceRolloutStopped", "SluiceReleaseEndsSoon",
                          "SluiceAlertsNotTaken", "SluiceApiServerErrors"])


if __name__ == "__main__":
    unittest.main()
