"""The files of the edge that never change: what it does in Lua, and its pages."""

from __future__ import annotations

BODY_LIMIT = """\
-- Bounds bodies that are sent without a Content-Length (chunked, HTTP/2); a stated length is checked by a rule.
local BodyLimit = {}
BodyLimit.id = "bodylimit"
BodyLimit.flags = filter.FLT_CFG_FL_HTX
BodyLimit.__index = BodyLimit

function BodyLimit:new()
  return setmetatable({ seen = 0, most = 0 }, BodyLimit)
end

function BodyLimit:start_analyze(txn, channel)
  if not channel:is_resp() then
    filter.register_data_filter(self, channel)
  end
end

function BodyLimit:http_headers(txn, message)
  if message.channel:is_resp() then
    return filter.CONTINUE
  end
  self.seen = 0
  self.most = tonumber(txn:get_var("txn.stream")) or 0
  if self.most == 0 then
    filter.unregister_data_filter(self, message.channel)
  end
  return filter.CONTINUE
end

function BodyLimit:http_payload(txn, message)
  self.seen = self.seen + message:input()
  if self.seen > self.most then
    txn:done(txn:reply{ status = 413 })
    return filter.ERROR
  end
end

core.register_filter("bodylimit", BodyLimit, function(class, arguments) return class end)
"""

_WAITING = """\
-- Lets a request wait while its backend is in the map of held ones: for the milliseconds the map says, or until this
-- worker is an old one, which is told nothing any more; its successor takes the request over. Where the map has an end
-- of the hold too (BACKEND@until, seconds since 1970), what comes or waits then goes on to the replicas, which run.
local held = Map.new("MAP", Map._str)

local function now()
  local time = core.now()
  return time.sec * 1000 + time.usec / 1000
end

local function bounds(backend)
  return tonumber(held:lookup(backend)), tonumber(held:lookup(backend .. "@until")) or math.huge
end

local function is_old(txn)
  local answer = txn.f:stopping()
  return answer == true or answer == 1
end

core.register_action("wait", { "http-req" }, function(txn)
  local backend = txn.f:be_name()
  local began = now()
  local limit, ends = bounds(backend)
  while limit and now() - began < limit and os.time() < ends and not is_old(txn) do
    core.msleep(50)
    limit, ends = bounds(backend)
  end
  if limit and os.time() >= ends then
    txn:set_var("txn.overdue", true)
  end
end)
"""


def waiting(held: str) -> str:
    """The action `lua.wait`, for the map in the file `held`."""
    return _WAITING.replace("MAP", held.replace("\\", "\\\\").replace('"', '\\"'))


MAINTENANCE_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Back soon</title>
<style>
  body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 20vh auto; padding: 0 1rem; color: #222 }
</style>
<h1>Back soon</h1>
<p>This site is being worked on and will return shortly. Please try again in a few minutes.</p>
</html>
"""

TOO_LARGE = (
    "HTTP/1.1 413 Payload Too Large\r\nContent-Type: text/plain\r\nContent-Length: 37\r\nConnection: close\r\n"
    "Cache-Control: no-cache\r\n\r\nthe body is larger than this accepts\n"
)
