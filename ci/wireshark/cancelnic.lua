-- Wireshark dissector for cancelnic's numbered frames (EtherType 0x88B5). The Info column shows number, way and fate.
--
--   wireshark -X lua_script:cancelnic.lua capture.pcapng
--   tshark    -X lua_script:cancelnic.lua -r capture.pcapng
--
-- To have them in columns of their own, with the device's comments, add to either command line:
--   -o 'gui.column.format:"Time","%t","Number","%Cus:cancelnic.number","Way","%Cus:cancelnic.way","Fate","%Cus:cancelnic.fate","Comment","%Cus:frame.comment"'
--
-- To filter: cancelnic.number == 17, cancelnic.fate == "taken back", cancelnic.damaged
--
-- The capture's first interface is the wire, its second one has the frames that a CANCEL took back. A frame is two
-- addresses, the EtherType, its number in 8 bytes, then filler: byte i of the frame is (number + i) modulo 256.

local cancelnic = Proto("cancelnic", "cancelnic numbered frame")

local number = ProtoField.uint64("cancelnic.number", "Number")
local way = ProtoField.string("cancelnic.way", "Way")
local fate = ProtoField.string("cancelnic.fate", "Fate")
local damaged = ProtoExpert.new("cancelnic.damaged", "Damaged", expert.group.CHECKSUM, expert.severity.ERROR)
cancelnic.fields = { number, way, fate }
cancelnic.experts = { damaged }

local direction = Field.new("frame.packet_flags_direction")
local interface = Field.new("frame.interface_id")

local INBOUND = 1
local TAKEN_BACK = 1
local HEADER = 14 -- bytes of the Ethernet header in front of the number

-- way, fate
local function seen()
  local taken_back = interface()
  if taken_back and tonumber(tostring(taken_back.value)) == TAKEN_BACK then
    return "guest to card and back", "taken back"
  end
  local flags = direction()
  if flags and tonumber(tostring(flags.value)) == INBOUND then
    return "wire to guest", "received"
  end
  return "guest to wire", "sent"
end

function cancelnic.dissector(buffer, pinfo, tree)
  if buffer:len() < 8 then return 0 end
  local path, what = seen()
  local id = buffer(0, 8):uint64()
  pinfo.cols.protocol = "cancelnic"

  local branch = tree:add(cancelnic, buffer(), "cancelnic frame " .. tostring(id) .. ", " .. what)
  branch:add(number, buffer(0, 8))
  branch:add(way, path):set_generated()
  branch:add(fate, what):set_generated()

  local low = buffer(7, 1):uint()
  local wrong
  for at = 8, buffer:len() - 1 do
    if buffer(at, 1):uint() ~= (low + HEADER + at) % 256 then
      wrong = HEADER + at
      break
    end
  end
  local note = ""
  if wrong then
    note = ", damaged at byte " .. wrong
    branch:add_proto_expert_info(damaged, "damaged at byte " .. wrong)
  end
  pinfo.cols.info = string.format("%6s  %-22s  %s%s", tostring(id), path, what, note)
  return buffer:len()
end

DissectorTable.get("ethertype"):add(0x88b5, cancelnic)
