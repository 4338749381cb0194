"""A small shop on MariaDB with everything that a database of its kind can hold, and what tests ask of it."""

from __future__ import annotations

from pathlib import Path

from data_stand import Stand

from havre.backups.mysql_client import query
from havre.workflows.places import place_of

PASSWORD = "s3cret pa'ss\\"
COMPOSE = """
services:
  db:
    image: mariadb:10.11
    command: ["mariadbd", "--sql-mode=ANSI,TRADITIONAL", "--port=3310"]
    environment:
      MARIADB_ROOT_PASSWORD: "s3cret pa'ss\\\\"
      MARIADB_DATABASE: shop
      MARIADB_USER: shop
      MARIADB_PASSWORD: clerk
      MYSQL_HOST: elsewhere
    volumes: ["dbdata:/var/lib/mysql"]
    healthcheck: {test: mariadb-admin -h 127.0.0.1 -P 3310 ping, interval: 1s, timeout: 5s, retries: 60}
volumes: {dbdata: {}}
"""
SHOP = r"""
SET NAMES utf8mb4;
CREATE TABLE customers (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(80), note TEXT, raw BLOB);
CREATE TABLE orders (
    id INT AUTO_INCREMENT PRIMARY KEY, customer INT, total DECIMAL(10, 2),
    CONSTRAINT of_customer FOREIGN KEY (customer) REFERENCES customers (id));
CREATE TABLE `odd 'na(me` (id INT PRIMARY KEY, twice INT AS (id * 2) STORED);
CREATE TABLE audit (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(100));
CREATE TABLE loose (id INT) ENGINE = MyISAM;
CREATE SEQUENCE numbers;
INSERT INTO customers (name, note, raw)
    VALUES ('Žofie), (', 'x\'),(\'y\nz\\', 0x0027295c), ('b', '\\', NULL), ('c', NULL, x'00');
INSERT INTO orders (customer, total) SELECT 1 + (seq % 3), seq FROM seq_1_to_1000;
INSERT INTO `odd 'na(me` (id) VALUES (1), (2);
INSERT INTO loose VALUES (1);
CREATE DEFINER = shop@`%` VIEW big AS SELECT id, total FROM orders WHERE total > 900;
CREATE DEFINER = shop@`%` VIEW a_bigger AS SELECT * FROM big WHERE total > 950;
CREATE FUNCTION twice(x INT) RETURNS INT DETERMINISTIC RETURN x * 2;
CREATE EVENT tidy ON SCHEDULE EVERY 1 HOUR DO DELETE FROM audit WHERE id < 0;
DELIMITER ;;
CREATE PROCEDURE note(IN said TEXT) BEGIN
    INSERT INTO audit (what) VALUES (CONCAT('),(', said));
END;;
CREATE TRIGGER shop.noted AFTER INSERT ON `shop`.orders FOR EACH ROW BEGIN
    CALL note(NEW.id);
END;;
DELIMITER ;
ALTER DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_czech_ci;
GRANT SELECT ON shop.orders TO shop;
GRANT EXECUTE ON PROCEDURE shop.note TO shop;
CREATE USER reader@'10.%' IDENTIFIED BY 'r';
GRANT SELECT ON shop.customers TO reader@'10.%';
"""
COUNTS = {"audit": 0, "customers": 3, "loose": 1, "odd 'na(me": 2, "orders": 1000}


class MysqlStand(Stand):
    """`sql` asks MariaDB."""

    def sql(self, statement: str, database: str = "shop") -> str:
        return query(place_of(self.server, self.name, "db"), statement, database)


def deployed(directory: Path, manifest: str = "") -> MysqlStand:
    made = MysqlStand(directory, compose=COMPOSE, manifest=manifest)
    made.deploy()
    made.sql(SHOP)
    return made
