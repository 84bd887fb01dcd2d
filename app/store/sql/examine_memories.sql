SELECT a.name, m.agent, m.data, m.crc FROM memories AS m JOIN agents AS a ON a.id = m.agent WHERE a.name IS NOT NULL
