from . import ProtocolDeserializer as ProtocolDeserializer
from . import ProtocolSerializer as ProtocolSerializer
