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

_HOLD = """\
-- While a backend is in the map of held ones, requests for it wait here: for the milliseconds the map says, or until
-- this worker is an old one, which is told nothing any more; its successor takes them over. Connections of other
-- protocols wait at the server `hold`. The map may have an end of the hold as well, and the servers that run meanwhile
-- (BACKEND@until: seconds since 1970, names): whoever is here then, or comes later, opens the backend for all.
local held = Map.new("MAP", Map._str)
local watched = {}

local function now()
  local time = core.now()
  return time.sec * 1000 + time.usec / 1000
end

local function ends(backend)
  local text = held:lookup(backend .. "@until")
  if text then
    local time, servers = text:match("^(%d+)(.*)$")
    return tonumber(time), servers
  end
  return math.huge, ""
end

local function is_old(txn)
  local answer = txn.f:stopping()
  return answer == true or answer == 1
end

local function open_if_over(backend)
  local time, servers = ends(backend)
  if os.time() >= time and core.get_info().Stopping ~= 1 then
    local known = core.backends[backend].servers
    for name in servers:gmatch("%S+") do
      known[name]:set_ready()
    end
    known.hold:set_maint()
  end
end

core.register_action("wait", { "http-req" }, function(txn)
  local backend = txn.f:be_name()
  local began = now()
  local limit = tonumber(held:lookup(backend))
  while limit and now() - began < limit and os.time() < ends(backend) and not is_old(txn) do
    core.msleep(50)
    limit = tonumber(held:lookup(backend))
  end
  open_if_over(backend)
end)

core.register_action("watch", { "tcp-req" }, function(txn)
  local backend = txn.f:be_name()
  open_if_over(backend)
  if not watched[backend] and os.time() < ends(backend) and ends(backend) < math.huge then
    watched[backend] = true
    core.register_task(function()
      while os.time() < ends(backend) and ends(backend) < math.huge do
        core.msleep(50)
      end
      watched[backend] = nil
      open_if_over(backend)
    end)
  end
end)
"""


def hold(held: str) -> str:
    """The actions `lua.wait` and `lua.watch`, for the map in the file `held`."""
    return _HOLD.replace("MAP", held.replace("\\", "\\\\").replace('"', '\\"'))


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
